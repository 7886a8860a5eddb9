//! How events look on the stream. The frame is written by hand in front of the
//! stored payload: protobuf merges what stands side by side, so that nothing of
//! a payload is decoded on its way.

use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::{Message, encoding::encode_varint};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::v1::{Envelope, Frame, Span, SubscribeRequest};

/// Any `<Context>Event`, read as far as its frame.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Framed {
    #[prost(message, optional, tag = "1")]
    pub(super) frame: Option<Frame>,
}

/// A message that holds a frame alone.
pub(super) fn frame(kind: super::v1::frame::Kind) -> Bytes {
    Framed { frame: Some(Frame { kind: Some(kind) }) }.encode_to_vec().into()
}

/// The message of one event: `rest` is its encoded envelope without a span. Equals the encoding of
/// `{ frame: { event: { span, …rest } }, …payload }`.
pub(super) fn event(span: Span, rest: &[u8], payload: &[u8]) -> Bytes {
    let envelope = Envelope { span: Some(span), ..Envelope::default() };
    let envelope_len = envelope.encoded_len() + rest.len();
    let frame_len = 1 + prost::length_delimiter_len(envelope_len) + envelope_len;
    let mut message = BytesMut::with_capacity(8 + frame_len + payload.len());
    message.put_u8(FRAME);
    encode_varint(frame_len as u64, &mut message);
    message.put_u8(FRAME_EVENT);
    encode_varint(envelope_len as u64, &mut message);
    envelope.encode_raw(&mut message);
    message.put_slice(rest);
    message.put_slice(payload);
    message.freeze()
}

/// Key of field 1 and of field 2, both length-delimited.
const FRAME: u8 = 1 << 3 | 2;
const FRAME_EVENT: u8 = 2 << 3 | 2;

/// What a stream of events carries: the request, or messages as bytes.
pub(super) trait Item: Sized + Send + 'static {
    fn write(self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status>;
    fn read(buffer: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

impl Item for Bytes {
    fn write(self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(self);
        Ok(())
    }

    fn read(buffer: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Ok(buffer.copy_to_bytes(buffer.remaining()))
    }
}

impl Item for SubscribeRequest {
    fn write(self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn read(buffer: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Self::decode(buffer).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// Sends `E`, receives `D`.
pub(super) struct Raw<E, D>(PhantomData<fn() -> (E, D)>);

impl<E, D> Raw<E, D> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E: Item, D: Item> Codec for Raw<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::new()
    }

    fn decoder(&mut self) -> Self {
        Self::new()
    }
}

impl<E: Item, D: Item> Encoder for Raw<E, D> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.write(buffer)
    }
}

impl<E: Item, D: Item> Decoder for Raw<E, D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        D::read(buffer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::frame::Kind;

    #[test]
    fn an_event_by_hand_is_the_event_that_prost_would_write() {
        for (rest_len, payload_len) in [(0, 0), (90, 5), (100, 200), (20_000, 70_000)] {
            let span = Span {
                partition: 63,
                covers_after: 1 << 40,
                position: (1 << 40) + 300,
                event_id: String::new(),
            };
            let rest = Envelope { r#type: "x".repeat(rest_len), ..Envelope::default() };
            let payload = "y".repeat(payload_len);
            let message = event(span.clone(), &rest.encode_to_vec(), payload.as_bytes());
            let expected = frame(Kind::Event(Envelope { span: Some(span), ..rest }));
            assert_eq!(message[..expected.len()], expected, "{rest_len}");
            assert_eq!(message[expected.len()..], *payload.as_bytes());
        }
    }
}
