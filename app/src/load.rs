//! Load on a running deployment: one request, again and again, over HTTP/1.1, and how it
//! was answered.
//!
//! Closed: each connection asks as soon as it was answered, which finds the peak.
//! Open (`--rate`): requests are due at fixed times whatever becomes of the ones
//! before, as a public's are; a late start counts as waiting, so that a stall is
//! seen in full (coordinated omission, G. Tene). Retries nothing.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use hdrhistogram::Histogram;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::console::say;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest latency that is told from longer ones, microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;
/// How long to wait before a connection that was refused is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// What to ask for, how often, for how long.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The URL to request
    #[arg(default_value = "http://127.0.0.1:8080/v1/products", value_name = "URL")]
    pub url: Uri,
    /// Send this JSON by POST instead of a GET
    #[arg(long, value_name = "JSON")]
    pub body: Option<String>,
    /// The accessToken of POST /v1/sessions
    #[arg(long, env = "HANSANG_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Requests per second, whether or not earlier ones were answered [default: as fast as possible]
    #[arg(long)]
    pub rate: Option<f64>,
    /// Connections; with --rate, the maximum of requests in flight
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Duration
    #[arg(long = "for", default_value_t = 10.0, value_name = "SECONDS")]
    pub seconds: f64,
}

/// How it was answered.
#[derive(Debug)]
pub struct Report {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that got no answer: refused, cut off, or none within 30 s.
    pub lost: u64,
    /// From when a request was due to its whole answer, microseconds.
    pub latency: Histogram<u64>,
    /// The same, of answers with 2xx.
    pub accepted: Histogram<u64>,
    /// From the first request to the last answer.
    pub took: Duration,
}

/// `hansang load`: loads a gateway until the time is over or told to stop, and prints the report.
pub(crate) async fn run(options: &Options, stop: CancellationToken) -> Result<()> {
    let report = load(options, stop).await?;
    say(&report);
    if report.answered() == 0 {
        bail!("no answer from {}", options.url);
    }
    Ok(())
}

/// Loads, and answers how it went.
pub async fn load(options: &Options, stop: CancellationToken) -> Result<Report> {
    if options.connections == 0 || options.rate.is_some_and(|rate| rate <= 0.0) {
        bail!("--connections and --rate must be above 0");
    }
    let target = Arc::new(Target::new(options)?);
    let begun = Instant::now();
    let lasting = Duration::try_from_secs_f64(options.seconds).context("--for")?;
    let schedule = Arc::new(Schedule {
        begun,
        ends: begun + lasting,
        pause: options.rate.map(f64::recip),
        next: AtomicU64::new(0),
    });
    let mut connections = JoinSet::new();
    for _ in 0..options.connections {
        let work = connection(Arc::clone(&target), Arc::clone(&schedule), stop.clone());
        connections.spawn(work);
    }
    let mut report = Report::new()?;
    while let Some(part) = connections.join_next().await {
        report.add(part.context("a connection failed")??)?;
    }
    report.took = begun.elapsed();
    Ok(report)
}

/// The one request.
struct Target {
    authority: String,
    method: Method,
    path: Uri,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Target {
    fn new(options: &Options) -> Result<Self> {
        let authority = options.url.authority().context("the URL must be http://host:port/path")?;
        if options.url.scheme_str() != Some("http") {
            bail!("{}: only http:// can be loaded", options.url);
        }
        let port = authority.port_u16().unwrap_or(80);
        let path = options.url.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = http::HeaderMap::new();
        headers.insert(header::HOST, authority.as_str().parse().context("host")?);
        if let Some(token) = &options.token {
            let bearer = format!("Bearer {token}").parse().context("--token is no token")?;
            headers.insert(header::AUTHORIZATION, bearer);
        }
        if options.body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        Ok(Self {
            authority: format!("{}:{port}", authority.host()),
            method: if options.body.is_some() { Method::POST } else { Method::GET },
            path: path.parse().context("the URL's path")?,
            headers,
            body: options.body.clone().unwrap_or_default().into(),
        })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(&self.authority).await?;
        socket.set_nodelay(true)?;
        let (send, connection) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        Ok(send)
    }
}

/// When requests are due.
struct Schedule {
    begun: Instant,
    ends: Instant,
    /// Seconds between two requests; absent: at once.
    pause: Option<f64>,
    next: AtomicU64,
}

impl Schedule {
    /// When the next request is due; `None` once the time is over.
    fn next(&self) -> Option<Instant> {
        let due = match self.pause {
            None => Instant::now(),
            Some(pause) => {
                let next = self.next.fetch_add(1, Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "2^52 requests are enough")]
                let after = next as f64 * pause;
                self.begun + Duration::from_secs_f64(after)
            }
        };
        (due < self.ends).then_some(due)
    }
}

async fn connection(
    target: Arc<Target>,
    schedule: Arc<Schedule>,
    stop: CancellationToken,
) -> Result<Report> {
    let mut report = Report::new()?;
    let mut open: Option<SendRequest<Full<Bytes>>> = None;
    while let Some(due) = schedule.next() {
        let waiting = tokio::time::sleep_until(due);
        if due > Instant::now() && stop.run_until_cancelled(waiting).await.is_none() {
            break;
        }
        if stop.is_cancelled() {
            break;
        }
        let asked = tokio::time::timeout(PATIENCE, ask(&target, &mut open)).await;
        if let Ok(Ok(status)) = asked {
            report.answer(status, due.elapsed());
        } else {
            open = None;
            report.lost += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }
    Ok(report)
}

/// Asks once, over the open connection or a new one; answers the status once the body is there.
async fn ask(target: &Target, open: &mut Option<SendRequest<Full<Bytes>>>) -> Result<u16> {
    // A connection that the other side has closed is no failure of this request.
    if let Some(send) = open
        && send.ready().await.is_err()
    {
        *open = None;
    }
    let send = match open {
        Some(send) => send,
        None => open.insert(target.connect().await?),
    };
    let response = send.send_request(target.request()).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(status)
}

impl Report {
    /// Nothing asked yet.
    pub fn new() -> Result<Self> {
        let latency =
            Histogram::new_with_bounds(1, LONGEST, 3).context("bounds of the histogram")?;
        Ok(Self {
            statuses: BTreeMap::new(),
            lost: 0,
            accepted: latency.clone(),
            latency,
            took: Duration::ZERO,
        })
    }

    /// Counts an answer that came so long after its request was due.
    pub fn answer(&mut self, status: u16, after: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros);
        if (200..300).contains(&status) {
            self.accepted.saturating_record(micros);
        }
    }

    /// Counts what another one counted at the same time.
    pub fn add(&mut self, other: Self) -> Result<()> {
        self.took = self.took.max(other.took);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.lost += other.lost;
        self.latency.add(other.latency).context("histograms differ")?;
        self.accepted.add(other.accepted).context("histograms differ")
    }

    /// Requests that were answered, in whatever way.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Requests that were answered with 2xx.
    pub fn succeeded(&self) -> u64 {
        self.statuses.range(200..300).map(|(_, count)| count).sum()
    }

    /// Answers with 2xx, a second.
    #[expect(clippy::cast_precision_loss, reason = "2^52 requests are enough")]
    pub fn goodput(&self) -> f64 {
        self.succeeded() as f64 / self.took.as_secs_f64()
    }

    /// Answers, a second.
    #[expect(clippy::cast_precision_loss, reason = "2^52 requests are enough")]
    pub fn throughput(&self) -> f64 {
        self.answered() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this share of the answers keeps, milliseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        millis(&self.latency, share)
    }

    /// The same of the answers with 2xx.
    pub fn accepted_within(&self, share: f64) -> f64 {
        millis(&self.accepted, share)
    }
}

fn millis(latency: &Histogram<u64>, share: f64) -> f64 {
    let micros = u32::try_from(latency.value_at_quantile(share)).unwrap_or(u32::MAX);
    f64::from(micros) / 1_000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "{} answers in {seconds:.1} s, {:.0} a second",
            self.answered(),
            self.throughput()
        )?;
        for (status, count) in &self.statuses {
            writeln!(f, "  {status}   {count}")?;
        }
        if self.lost > 0 {
            writeln!(f, "  lost  {}", self.lost)?;
        }
        let quantile = |share| self.quantile(share);
        write!(
            f,
            "p50 {:.2} ms   p90 {:.2} ms   p99 {:.2} ms   longest {:.2} ms",
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            quantile(1.0)
        )
    }
}
