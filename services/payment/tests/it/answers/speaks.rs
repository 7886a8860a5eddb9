//! A server that speaks HTTP as badly as it is told to.

use std::{future::pending, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long the services wait for an answer here.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// How an answer is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    /// When nobody waits for it any more.
    Late,
    Never,
    Twice,
    /// The head says how long it is; half of that follows.
    Half,
    /// The connection is closed instead.
    Closed,
    /// What it says is not JSON.
    Gibberish,
    /// Another status, with nothing in it.
    Status(u16),
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Its idempotency key; empty without one.
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// What is answered, and how.
pub(crate) type Answer = (Manner, u16, Value);

/// Serves until the test ends; answers where.
pub(crate) async fn serve(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move { converse(socket, &*answer).await });
        }
    });
    url
}

/// None once the connection is over.
async fn converse(
    mut socket: TcpStream,
    answer: &(impl Fn(&Asked) -> Answer + Sync),
) -> Option<()> {
    loop {
        let asked = read(&mut socket).await?;
        let (manner, status, body) = answer(&asked);
        let text = body.to_string();
        let whole = response(status, &text, &text);
        let said = match manner {
            Manner::Well => whole,
            Manner::Late => {
                tokio::time::sleep(PATIENCE * 2).await;
                whole
            }
            Manner::Never => pending().await,
            Manner::Twice => format!("{whole}{whole}"),
            Manner::Half => response(status, &text, &text[..text.len() / 2]),
            Manner::Closed => return None,
            Manner::Gibberish => response(status, "<html>so it is</html>", "<html>so it is</html>"),
            Manner::Status(status) => response(status, "", ""),
        };
        socket.write_all(said.as_bytes()).await.ok()?;
        if manner == Manner::Half {
            return None;
        }
    }
}

fn response(status: u16, promised: &str, said: &str) -> String {
    let length = promised.len();
    format!(
        "HTTP/1.1 {status} so\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{said}"
    )
}

async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(socket, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |wanted: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    assert_eq!(header("authorization").as_deref(), Some("Basic c2VjcmV0Og=="));
    let length: usize = header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        more(socket, &mut bytes).await?;
    }
    let body = serde_json::from_slice(&bytes[end..end + length]).unwrap_or(Value::Null);
    Some(Asked { method, path, key: header("idempotency-key").unwrap_or_default(), body })
}

async fn more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut some = [0; 4096];
    let count = socket.read(&mut some).await.ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&some[..count]);
    Some(())
}
