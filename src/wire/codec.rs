//! How messages are read and written: as protobuf, a request only once what it would take in memory is known to be bounded. Two bytes can stand for an
//! empty message that takes hundreds once it is read, so the size on the wire says little.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Buf;
use prost::{Message, Name};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use super::generated::FILE_DESCRIPTOR_SET;

/// What a request may take in memory once it is read. The largest that callers need, a record of a hundred bundles with long journeys, takes a third.
/// Judgement. Unit: bytes.
pub const READ_BYTES_MAX: usize = 48 << 20;
/// How the refusal of a request that would take more begins.
pub const TAKES_TOO_MUCH: &str = "the message would take";
/// Messages inside of messages, as deep as the reader goes.
const DEPTH_MAX: usize = 100;
/// What a piece of memory takes beside its content.
const PIECE_BYTES: usize = 16;

/// The codec of all methods.
#[derive(Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstCodec::<T, U>::default().decoder())
    }
}

/// Reads messages of one kind.
#[derive(Debug)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Answers are this server's own.
        if U::NAME.ends_with("Request") {
            let bytes = SHAPES.bytes_of(U::NAME, source.chunk());
            if bytes > READ_BYTES_MAX {
                let sentence = format!(
                    "{TAKES_TOO_MUCH} {bytes} bytes once it is read, more than the {READ_BYTES_MAX} that this server takes: it holds too many \
                     parts; send fewer in one message"
                );
                return Err(Status::resource_exhausted(sentence));
            }
        }
        self.0.decode(source)
    }
}

/// What the messages of the contract take in memory.
static SHAPES: LazyLock<Shapes> = LazyLock::new(|| Shapes::of(FILE_DESCRIPTOR_SET));

/// The messages of a contract, by name without their package.
struct Shapes(BTreeMap<String, Shape>);

/// A message.
struct Shape {
    /// What it takes by itself, empty. Unit: bytes.
    bytes: usize,
    fields: BTreeMap<u32, Field>,
}

/// A field whose content is taken apart, or takes memory of its own.
struct Field {
    label: Label,
    content: Content,
}

enum Content {
    Number,
    Text,
    Message(String),
}

impl Field {
    fn of(field: &FieldDescriptorProto) -> Self {
        let content = match field.r#type() {
            Type::Message | Type::Group => Content::Message(short(field.type_name()).to_owned()),
            Type::String | Type::Bytes => Content::Text,
            Type::Double
            | Type::Float
            | Type::Int64
            | Type::Uint64
            | Type::Int32
            | Type::Fixed64
            | Type::Fixed32
            | Type::Bool
            | Type::Uint32
            | Type::Enum
            | Type::Sfixed32
            | Type::Sfixed64
            | Type::Sint32
            | Type::Sint64 => Content::Number,
        };
        Self { label: field.label(), content }
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

impl Shapes {
    fn of(encoded: &[u8]) -> Self {
        // The contract is compiled in; if it could not be read, reflection would fail first, and loudly.
        let files = FileDescriptorSet::decode(encoded).unwrap_or_default();
        let mut messages = BTreeMap::new();
        files.file.iter().flat_map(|file| &file.message_type).for_each(|message| gather(message, &mut messages));
        let shape = |message: &&DescriptorProto| {
            let number = |field: &FieldDescriptorProto| u32::try_from(field.number()).unwrap_or_default();
            let fields = message.field.iter().map(|field| (number(field), Field::of(field))).collect();
            Shape { bytes: own_bytes(message.name(), &messages, 0), fields }
        };
        Self(messages.iter().map(|(name, message)| ((*name).to_owned(), shape(message))).collect())
    }

    /// What the bytes of a message would take once they are read. What is no message is not measured to its end: reading it fails. Unit: bytes.
    fn bytes_of(&self, name: &str, bytes: &[u8]) -> usize {
        let Some(shape) = self.0.get(name) else { return bytes.len() };
        let mut taken = shape.bytes;
        let _measured = self.measure(shape, bytes, &mut taken, 0);
        taken
    }

    /// Adds what the content of a message takes; `None` where it ends before the bytes do.
    fn measure(&self, shape: &Shape, mut bytes: &[u8], taken: &mut usize, depth: usize) -> Option<()> {
        while !bytes.is_empty() {
            if *taken > READ_BYTES_MAX {
                return None;
            }
            let key = varint(&mut bytes)?;
            let field = shape.fields.get(&u32::try_from(key >> 3).ok()?);
            match key & 7 {
                0 => drop(varint(&mut bytes)?),
                1 => drop(cut(&mut bytes, 8)?),
                5 => drop(cut(&mut bytes, 4)?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    let content = cut(&mut bytes, length)?;
                    self.measure_content(field, content, taken, depth)?;
                    continue;
                }
                // Groups are not of this contract, and of no message that is read.
                _ => return None,
            }
            if field.is_some_and(|field| field.label == Label::Repeated) {
                // Lists grow by doubling.
                *taken += 2 * size_of::<u64>();
            }
        }
        Some(())
    }

    fn measure_content(&self, field: Option<&Field>, content: &[u8], taken: &mut usize, depth: usize) -> Option<()> {
        let Some(Field { label, content: kind }) = field else { return Some(()) };
        let in_list = |bytes: usize| if *label == Label::Repeated { 2 * bytes } else { 0 };
        match kind {
            Content::Number => *taken += in_list(content.len() * size_of::<u64>()),
            Content::Text => *taken += in_list(size_of::<bytes::Bytes>()) + content.len() + PIECE_BYTES,
            Content::Message(name) => {
                let Some(shape) = self.0.get(name) else { return Some(()) };
                *taken += in_list(shape.bytes);
                if depth < DEPTH_MAX {
                    self.measure(shape, content, taken, depth + 1)?;
                }
            }
        }
        Some(())
    }
}

fn gather<'m>(message: &'m DescriptorProto, all: &mut BTreeMap<&'m str, &'m DescriptorProto>) {
    all.insert(message.name(), message);
    message.nested_type.iter().for_each(|nested| gather(nested, all));
}

/// What a message takes by itself, its single parts included.
fn own_bytes(name: &str, messages: &BTreeMap<&str, &DescriptorProto>, depth: usize) -> usize {
    let Some(message) = messages.get(name).filter(|_| depth < DEPTH_MAX) else { return size_of::<u64>() };
    let field_bytes = |field: &FieldDescriptorProto| match (field.label(), field.r#type()) {
        (Label::Repeated, _) => size_of::<Vec<u64>>(),
        (_, Type::Message | Type::Group) => own_bytes(short(field.type_name()), messages, depth + 1) + size_of::<u64>(),
        (_, Type::String | Type::Bytes) => size_of::<bytes::Bytes>(),
        _ => size_of::<u64>(),
    };
    message.field.iter().map(field_bytes).sum::<usize>().max(1)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

fn cut<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (content, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1;

    #[test]
    fn messages_of_nothing_but_parts_are_measured_by_what_they_take() {
        let empty = v1::RecordSignalsRequest { bundles: vec![v1::SignalBundle::default(); 2_000], ..Default::default() };
        let wire = empty.encode_to_vec();
        let measured = SHAPES.bytes_of("RecordSignalsRequest", &wire);
        let bundles = 2_000 * size_of::<v1::SignalBundle>();
        assert!(wire.len() < 5_000 && (bundles..6 * bundles).contains(&measured), "{measured} of {bundles}");
        let flood = [0x1a, 0].repeat(2 << 20);
        assert!(SHAPES.bytes_of("RecordSignalsRequest", &flood) > READ_BYTES_MAX);
    }

    #[test]
    fn the_longest_journeys_that_are_taken_fit() {
        let touchpoint = || v1::Touchpoint { path_token: "p".repeat(100), ..v1::Touchpoint::default() };
        let journey = v1::Journey { touchpoints: (0..10_000).map(|_| touchpoint()).collect(), ..v1::Journey::default() };
        let side = || Some(v1::SignalBundle { journey: Some(journey.clone()), ..v1::SignalBundle::default() });
        let conversion = v1::Conversion { referrer: side(), referee: side(), ..v1::Conversion::default() };
        let wire = v1::ScreenConversionRequest { conversion: Some(conversion) }.encode_to_vec();
        let measured = SHAPES.bytes_of("ScreenConversionRequest", &wire);
        assert!((wire.len()..READ_BYTES_MAX).contains(&measured), "{measured} of {}", wire.len());
    }

    #[test]
    fn bytes_that_are_no_message_are_measured_without_harm() {
        for wire in [&[0xff; 20][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0b], &[]] {
            assert!(SHAPES.bytes_of("ScreenConversionRequest", wire) < READ_BYTES_MAX);
        }
        assert_eq!(SHAPES.bytes_of("Nothing", &[1, 2]), 2);
    }
}
