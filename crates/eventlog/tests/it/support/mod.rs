//! A source of events and a place to apply them, as two services would have them.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use base::Error;
use eventlog::{Arrived, Bearer, Consumer, Draft, Feed, Log, Policy};
use pg::{Cause, Database, Tx};
use prost::Message;
use rpc::Peer;
use schema::Events;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::{self, server::TcpIncoming};
use uuid::Uuid;

/// Stands for any `<Context>Event`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Note {
    #[prost(message, optional, tag = "1")]
    pub(crate) frame: Option<eventlog::v1::Frame>,
    #[prost(string, tag = "16")]
    pub(crate) text: String,
}

impl Events for Note {
    const SERVICE: &'static str = "notes";
    const STREAM: &'static str = "test.v1.NoteEvents";
}

/// A service with a log: counters that say so whenever they change.
pub(crate) struct Producer {
    pub(crate) database: Database,
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    pub(crate) stop: CancellationToken,
    pub(crate) server: JoinHandle<Result<(), transport::Error>>,
}

impl Producer {
    /// Serves a log that nobody numbers yet.
    pub(crate) async fn serving() -> Self {
        let counters = [(
            "V1__counter",
            "create table counter (id uuid primary key, version bigint not null)",
        )];
        let made = testkit::database(Vec::leak(counters.into())).await;
        let stop = CancellationToken::new();
        let log = Log::open(made.database.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = transport::Server::builder()
            .add_service(Feed::<Note>::new(log.clone(), stop.clone()))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        let server = tokio::spawn(server);
        Self { database: made.database, address, log, stop, server }
    }

    pub(crate) async fn start() -> Self {
        let producer = Self::serving().await;
        tokio::spawn(producer.log.clone().run(producer.stop.clone()));
        producer
    }

    pub(crate) fn channel(&self) -> transport::Channel {
        let uri = format!("http://{}", self.address);
        // Small windows: a subscriber that does not read is felt soon.
        transport::Endpoint::from_shared(uri)
            .unwrap()
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535)
            .connect_lazy()
    }

    /// Events of this kind, each committed by itself.
    pub(crate) async fn change(&self, counter: Uuid, kind: &'static str, text: &str) -> i64 {
        let mut tx = self.database.begin().await.unwrap();
        let version = change(&mut tx, counter, kind, text).await.unwrap();
        tx.commit().await.unwrap();
        version
    }

    pub(crate) async fn head(&self) -> i64 {
        testkit::number(&self.database, "select max(position) from numbering").await
    }

    pub(crate) async fn subscribe(
        &self,
        request: eventlog::v1::SubscribeRequest,
    ) -> Result<tonic::Streaming<Note>, tonic::Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel());
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<eventlog::v1::SubscribeRequest, Note>::default();
        let path = format!("/{}/Subscribe", Note::STREAM).parse().unwrap();
        Ok(grpc.server_streaming(tonic::Request::new(request), path, codec).await?.into_inner())
    }
}

/// Changes a counter and appends the event of it.
pub(crate) async fn change(
    tx: &mut Tx,
    counter: Uuid,
    kind: &'static str,
    text: &str,
) -> Result<i64, Error> {
    let sql = "insert into counter (id, version) values ($1, 1)
        on conflict (id) do update set version = counter.version + 1 returning version";
    let version = tx.query_one(sql, &[&counter]).await?.get(0);
    let payload = Note { frame: None, text: text.to_owned() }.encode_to_vec();
    let draft = Draft::new(kind, counter, version, counter, payload);
    eventlog::append(tx, &[draft]).await?;
    Ok(version)
}

/// A service that writes down what it hears, without any constraint that would hide a mistake.
pub(crate) async fn listener() -> Database {
    let [one, _] = listeners().await;
    one
}

/// Two replicas of it.
pub(crate) async fn listeners() -> [Database; 2] {
    let table = [(
        "V1__heard",
        "create table heard (n bigint generated always as identity, counter uuid not null,
           version bigint not null, text text not null)",
    )];
    let made = testkit::database(Vec::leak(table.into())).await;
    let other = Database::new(&made.settings, "test").unwrap();
    [made.database, other]
}

/// Writes down; fails as its `fault` says.
pub(crate) struct WriteDown<F>(pub(crate) F);

impl<F> Policy<Note> for WriteDown<F>
where
    F: Fn(&Note) -> Result<(), Error> + Send + Sync + 'static,
{
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<Note>]) -> Result<(), Error> {
        for event in batch {
            tx.caused_by(event.cause());
            let Cause { causation_id, .. } = tx.cause();
            assert_eq!(*causation_id, Some(event.event_id));
            tx.execute(
                "insert into heard (counter, version, text) values ($1, $2, $3)",
                &[&event.correlation_id, &event.aggregate_version, &event.message.text],
            )
            .await?;
            (self.0)(&event.message)?;
        }
        Ok(())
    }
}

/// A consumer named `listener` that writes down all notes.
pub(crate) fn consumer<F>(
    producer: &Producer,
    heard: &Database,
    fault: F,
) -> Consumer<Note, WriteDown<F>>
where
    F: Fn(&Note) -> Result<(), Error> + Send + Sync + 'static,
{
    consumer_of(producer.address, heard, fault)
}

/// The same, of what is at that address.
pub(crate) fn consumer_of<F>(
    address: SocketAddr,
    heard: &Database,
    fault: F,
) -> Consumer<Note, WriteDown<F>>
where
    F: Fn(&Note) -> Result<(), Error> + Send + Sync + 'static,
{
    let nobody: Bearer = Arc::new(|| None);
    let address = format!("http://{address}");
    let channel = Peer::new("notes", &address, None).unwrap().channel();
    Consumer::new("listener", heard.clone(), channel, nobody, WriteDown(fault))
}

/// All that was heard, in that order.
pub(crate) async fn heard(database: &Database) -> Vec<(Uuid, i64, String)> {
    let sql = "select counter, version, text from heard order by n";
    let rows = database.read().await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Runs something, and again whenever it was killed at some moment, until told to stop killing.
pub(crate) async fn kill_and_resume<F>(calm: CancellationToken, mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let running = tokio::spawn(start());
        let moment = Duration::from_millis(rand::random_range(5..60));
        if calm.run_until_cancelled(tokio::time::sleep(moment)).await.is_none() {
            return running.await.unwrap();
        }
        running.abort();
        let _ = running.await;
    }
}
