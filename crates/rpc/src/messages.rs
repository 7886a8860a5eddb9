//! What is on the wire: messages as bytes, and the stream of them that a call may
//! answer with. Encodes and decodes none.

use std::{fmt, sync::Arc};

use bytes::{Buf as _, BufMut as _, Bytes};
use tokio::sync::Mutex;
use tonic::{
    Status, Streaming,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::Failure;

/// The messages of a server stream. Clones read the same stream, each message once; when the last
/// of them is dropped, the upstream learns that nobody listens.
#[derive(Clone)]
pub struct Messages {
    service: &'static str,
    stream: Arc<Mutex<Streaming<Bytes>>>,
}

impl Messages {
    pub(super) fn new(service: &'static str, stream: Streaming<Bytes>) -> Self {
        Self { service, stream: Arc::new(Mutex::new(stream)) }
    }

    /// The next message, encoded; none at the end. Nothing is lost when this is dropped before it
    /// has answered.
    pub async fn next(&self) -> Result<Option<Bytes>, Failure> {
        let next = self.stream.lock().await.message().await;
        next.map_err(|status| Failure::read(self.service, status))
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Most messages fit; for others it grows. tonic's own are 8 KiB each, two for a call.
fn small_buffer() -> BufferSettings {
    BufferSettings::new(512, 32 * 1024)
}

/// The codec that leaves messages as they are.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        small_buffer()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        small_buffer()
    }
}
