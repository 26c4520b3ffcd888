//! A stored message as JSON, in the protocol's own form: the fields of WhatsApp's `Message` under the names of its .proto file,
//! bytes in base64, enumerations by name, and only what is set.
//!
//! Never in it: keys, secrets and ratchets, on any level, of a quoted message too. What opens the message's own file is not
//! even in what is stored.

use crate::store::RawMessage;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use buffa::Message as _;
use serde::ser::{self, Impossible, Serialize};
use serde_json::{Map, Number, Value};
use std::fmt;
use waproto::whatsapp as wa;

/// Puts a stored message into the data of its event: as `raw`, or with the reason as `rawOmitted`.
pub fn show(data: &mut Value, message: &RawMessage) {
    let Some(data) = data.as_object_mut() else { return };
    let read = |message: &[u8]| form(&wa::Message::decode_from_slice(message).ok()?);
    let shown = match message {
        RawMessage::Whole(message) => read(message).ok_or("unreadable"),
        RawMessage::TooLarge => Err("too_large"),
    };
    match shown {
        Ok(raw) => data.insert("raw".to_owned(), raw),
        Err(why) => data.insert("rawOmitted".to_owned(), why.into()),
    };
}

/// The same of a message of any size.
pub(super) fn form(message: &wa::Message) -> Option<Value> {
    message.serialize(Form).ok().flatten()
}

/// Fields that open something: by their name, wherever they stand. A key that names a message is a section, and stays.
fn opens_something(field: &str, value: &Value) -> bool {
    let is_named = ["key", "secret", "ratchet", "token"].iter().any(|part| field.contains(part));
    is_named && value.is_string()
}

/// `image_message` is `imageMessage` in the .proto file, and so is a variant `ImageMessage`.
fn name(rust: &str) -> String {
    let mut name = String::with_capacity(rust.len());
    for (place, part) in rust.split('_').filter(|part| !part.is_empty()).enumerate() {
        let mut chars = part.chars();
        match (place, chars.next()) {
            (0, Some(first)) => name.extend(first.to_lowercase()),
            (_, first) => name.extend(first.map(|first| first.to_ascii_uppercase())),
        }
        name.push_str(chars.as_str());
    }
    name
}

/// Writes a value; `None` is what is not set.
struct Form;

type Written = Result<Option<Value>, fmt::Error>;

/// Not a form that the generated code has.
fn strange() -> Written {
    Err(fmt::Error)
}

impl ser::Serializer for Form {
    type Ok = Option<Value>;
    type Error = fmt::Error;
    type SerializeSeq = List;
    type SerializeTuple = Impossible<Option<Value>, fmt::Error>;
    type SerializeTupleStruct = Impossible<Option<Value>, fmt::Error>;
    type SerializeTupleVariant = Impossible<Option<Value>, fmt::Error>;
    type SerializeMap = Impossible<Option<Value>, fmt::Error>;
    type SerializeStruct = Section;
    type SerializeStructVariant = Impossible<Option<Value>, fmt::Error>;

    fn serialize_bool(self, value: bool) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_i8(self, value: i8) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_i16(self, value: i16) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_i32(self, value: i32) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_i64(self, value: i64) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_u8(self, value: u8) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Written {
        Ok(Number::from_f64(value).map(Value::Number))
    }

    fn serialize_char(self, value: char) -> Written {
        Ok(Some(value.to_string().into()))
    }

    fn serialize_str(self, value: &str) -> Written {
        Ok(Some(value.into()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        Ok(Some(BASE64.encode(value).into()))
    }

    fn serialize_none(self) -> Written {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(None)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        Ok(Some(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        let Some(value) = value.serialize(self)? else { return Ok(None) };
        let variant = name(variant);
        if opens_something(&variant.to_ascii_lowercase(), &value) {
            return Ok(None);
        }
        Ok(Some(Value::Object(Map::from_iter([(variant, value)]))))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, fmt::Error> {
        Ok(List { bytes: Vec::new(), items: Vec::with_capacity(length.unwrap_or(0).min(64)) })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Section, fmt::Error> {
        Ok(Section(Map::new()))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

/// A message: its fields that are set and open nothing.
struct Section(Map<String, Value>);

impl ser::SerializeStruct for Section {
    type Ok = Option<Value>;
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, field: &'static str, value: &T) -> Result<(), fmt::Error> {
        if let Some(value) = value.serialize(Form)?.filter(|value| !opens_something(field, value)) {
            self.0.insert(name(field), value);
        }
        Ok(())
    }

    fn end(self) -> Written {
        Ok(Some(Value::Object(self.0)))
    }
}

/// A repeated field, or bytes: a protobuf has no other numbers of eight bits.
struct List {
    bytes: Vec<u8>,
    items: Vec<Value>,
}

impl ser::SerializeSeq for List {
    type Ok = Option<Value>;
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        match value.serialize(Octet) {
            Ok(byte) => self.bytes.push(byte),
            // What is empty keeps its place among the others.
            Err(_) => self.items.push(value.serialize(Form)?.unwrap_or(Value::Null)),
        }
        Ok(())
    }

    fn end(self) -> Written {
        match (self.bytes.is_empty(), self.items.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => Ok(Some(Value::Array(self.items))),
            (false, true) => Form.bytes(&self.bytes),
            (false, false) => strange(),
        }
    }
}

impl Form {
    fn bytes(self, value: &[u8]) -> Written {
        ser::Serializer::serialize_bytes(self, value)
    }
}

/// Reads one byte, and refuses everything else.
struct Octet;

macro_rules! refused {
    ($($method:ident: $value:ty,)*) => {$(
        fn $method(self, _: $value) -> Result<u8, fmt::Error> {
            Err(fmt::Error)
        }
    )*};
}

impl ser::Serializer for Octet {
    type Ok = u8;
    type Error = fmt::Error;
    type SerializeSeq = Impossible<u8, fmt::Error>;
    type SerializeTuple = Impossible<u8, fmt::Error>;
    type SerializeTupleStruct = Impossible<u8, fmt::Error>;
    type SerializeTupleVariant = Impossible<u8, fmt::Error>;
    type SerializeMap = Impossible<u8, fmt::Error>;
    type SerializeStruct = Impossible<u8, fmt::Error>;
    type SerializeStructVariant = Impossible<u8, fmt::Error>;

    fn serialize_u8(self, value: u8) -> Result<u8, fmt::Error> {
        Ok(value)
    }

    refused! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_none(self) -> Result<u8, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<u8, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_unit(self) -> Result<u8, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<u8, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<u8, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<u8, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buffa::MessageField;
    use serde_json::json;

    fn image(caption: &str) -> wa::message::ImageMessage {
        wa::message::ImageMessage {
            caption: Some(caption.into()),
            media_key: Some(vec![7; 32]),
            jpeg_thumbnail: Some(vec![1, 2, 3]),
            height: Some(9),
            ..Default::default()
        }
    }

    fn shown(message: &wa::Message) -> Value {
        let mut data = json!({ "id": "A" });
        show(&mut data, &RawMessage::Whole(message.encode_to_vec()));
        data
    }

    #[test]
    fn what_is_set_is_shown_by_its_name_in_the_protocol_and_bytes_in_base64() {
        let message = wa::Message { image_message: MessageField::some(image("a cat")), ..Default::default() };

        let data = shown(&message);

        let image = json!({ "caption": "a cat", "jpegThumbnail": "AQID", "height": 9 });
        assert_eq!(data, json!({ "id": "A", "raw": { "imageMessage": image } }));
    }

    #[test]
    fn what_opens_a_file_is_in_no_level_of_it() {
        let quoted = wa::Message { image_message: MessageField::some(image("quoted")), ..Default::default() };
        let context = wa::ContextInfo {
            stanza_id: Some("B".into()),
            mentioned_jid: vec!["1@lid".into()],
            quoted_message: MessageField::some(quoted),
            ..Default::default()
        };
        let extended = wa::message::ExtendedTextMessage {
            text: Some("look".into()),
            media_key: Some(vec![8; 32]),
            context_info: MessageField::some(context),
            ..Default::default()
        };
        let message = wa::Message { extended_text_message: MessageField::some(extended), ..Default::default() };

        let raw = shown(&message)["raw"].to_string();

        assert!(raw.contains("quoted") && raw.contains("1@lid") && raw.contains("\"stanzaId\":\"B\""), "{raw}");
        assert!(!raw.to_ascii_lowercase().contains("key"), "{raw}");
        assert!(!raw.contains(&BASE64.encode([7; 32])) && !raw.contains(&BASE64.encode([8; 32])), "{raw}");
    }

    #[test]
    fn what_is_empty_keeps_its_place_in_a_list() {
        #[derive(serde::Serialize)]
        struct Hashes {
            hashes: Vec<Vec<u8>>,
        }
        let hashes = Hashes { hashes: vec![vec![1], vec![], vec![2]] };

        let shown = hashes.serialize(Form).expect("it is shown");

        assert_eq!(shown, Some(json!({ "hashes": ["AQ==", null, "Ag=="] })));
    }

    #[test]
    fn the_key_that_names_a_message_stays() {
        let key = wa::MessageKey { id: Some("B".into()), from_me: Some(true), ..Default::default() };
        let reaction =
            wa::message::ReactionMessage { key: MessageField::some(key), text: Some("+".into()), ..Default::default() };
        let message = wa::Message { reaction_message: MessageField::some(reaction), ..Default::default() };

        let raw = &shown(&message)["raw"]["reactionMessage"];

        assert_eq!(*raw, json!({ "key": { "id": "B", "fromMe": true }, "text": "+" }));
    }

    #[test]
    fn what_is_too_large_or_does_not_read_is_left_out_and_that_is_said() {
        for (message, why) in [(RawMessage::TooLarge, "too_large"), (RawMessage::Whole(vec![0xff]), "unreadable")] {
            let mut data = json!({ "id": "A" });
            show(&mut data, &message);
            assert_eq!(data, json!({ "id": "A", "rawOmitted": why }));
        }
    }
}
