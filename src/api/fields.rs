//! Reading a JSON body field by field, so that every bad field is reported at once, by name, with the fix.
//! Fields that are not known are ignored: existing clients send more than we read.

use super::error::{ApiError, FieldError};
use super::parameters::Parameters;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// An object from the request's body, and what was found wrong with it so far.
pub(super) struct Fields {
    object: Map<String, Value>,
    errors: Vec<FieldError>,
    /// Stands before the names of fields, when this is an object within another.
    within: String,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = content_type(&request);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(failed) if failed.status() == 413 => ApiError::PayloadTooLarge,
            _ => ApiError::field("body", "could not be read"),
        })?;
        Self::from_body(kind.as_deref(), &bytes)
    }
}

pub(super) fn content_type(request: &Request) -> Option<String> {
    request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase)
}

impl Fields {
    /// A body of at most `bytes_max` bytes, for a route that takes more than others.
    pub(super) async fn read(request: Request, bytes_max: usize) -> Result<Self, ApiError> {
        let kind = content_type(&request);
        let bytes = axum::body::to_bytes(request.into_body(), bytes_max).await.map_err(|error| {
            let too_large = std::error::Error::source(&error).is_some_and(|cause| cause.is::<LengthLimitError>());
            if too_large { ApiError::PayloadTooLarge } else { ApiError::field("body", "could not be read") }
        })?;
        Self::from_body(kind.as_deref(), &bytes)
    }

    fn from_body(kind: Option<&str>, bytes: &[u8]) -> Result<Self, ApiError> {
        if bytes.is_empty() {
            return Ok(Self::of(Map::new()));
        }
        if kind.is_some_and(|kind| !kind.contains("json")) {
            return Err(ApiError::UnsupportedMediaType("send JSON with \"Content-Type: application/json\""));
        }
        Self::from_json("body", bytes)
    }

    pub(super) fn of(object: Map<String, Value>) -> Self {
        Self { object, errors: Vec::new(), within: String::new() }
    }

    /// An object that `name` carries as JSON text.
    pub(super) fn from_json(name: &str, bytes: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self::of(object)),
            Ok(_) => Err(ApiError::field(name, "must be a JSON object")),
            Err(error) => {
                let place = format!("is not valid JSON at line {}, column {}", error.line(), error.column());
                Err(ApiError::field(name, place))
            }
        }
    }

    pub(super) fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: format!("{}{field}", self.within), message: message.into() });
    }

    /// Names every field that is not one of these.
    pub(super) fn only(&mut self, known: &[&str]) {
        let others: Vec<String> = self.object.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        for other in others {
            self.wrong(&other, format!("is not known here; there are {}", known.join(", ")));
        }
    }

    pub(super) fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.object.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object.clone()),
            Some(_) => {
                self.wrong(field, "must be an object");
                None
            }
        }
    }

    /// An object whose own fields are read one by one; give it back to [`Fields::take_in`].
    pub(super) fn inner(&mut self, field: &str) -> Option<Self> {
        let object = self.object(field)?;
        Some(Self { within: format!("{}{field}.", self.within), ..Self::of(object) })
    }

    pub(super) fn take_in(&mut self, inner: Self) {
        self.errors.extend(inner.errors);
    }

    /// What was found wrong with texts that were read as parameters are.
    pub(super) fn take_parameters(&mut self, parameters: Parameters) {
        for (name, message) in parameters.into_wrong() {
            self.wrong(&name, message);
        }
    }

    /// An object of which every key has a default; each one that does not read is named.
    pub(super) fn section<T: DeserializeOwned>(&mut self, field: &str) -> Option<T> {
        let object = self.object(field)?;
        let before = self.errors.len();
        for (key, value) in &object {
            let alone = Map::from_iter([(key.clone(), value.clone())]);
            if let Err(error) = serde_json::from_value::<T>(Value::Object(alone)) {
                self.wrong(&format!("{field}.{key}"), error.to_string());
            }
        }
        if self.errors.len() > before {
            return None;
        }
        let read = serde_json::from_value(Value::Object(object));
        read.map_err(|error| self.wrong(field, error.to_string())).ok()
    }

    /// Whether the body says anything of this field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.object.get(field).is_some_and(|value| !value.is_null())
    }

    /// A name for people: as [`Fields::text`], without the blanks around it, and not blank.
    pub(super) fn name(&mut self, field: &str, chars_max: usize, required: bool) -> Option<String> {
        let name = self.text(field, 1..=chars_max, required)?.trim().to_owned();
        if name.is_empty() {
            self.wrong(field, "must not be blank");
            return None;
        }
        Some(name)
    }

    /// A text between these lengths in characters; `None` when it is missing, which is an error for `required`.
    pub(super) fn text(
        &mut self,
        field: &str,
        chars: std::ops::RangeInclusive<usize>,
        required: bool,
    ) -> Option<String> {
        let (min, max) = (*chars.start(), *chars.end());
        match self.object.get(field) {
            Some(Value::String(text)) => {
                let text = text.clone();
                if chars.contains(&text.chars().count()) {
                    return Some(text);
                }
                self.wrong(field, format!("must have {min} to {max} characters"));
            }
            None | Some(Value::Null) if !required => {}
            None | Some(Value::Null) => self.wrong(field, "is required"),
            Some(_) => self.wrong(field, "must be a text"),
        }
        None
    }

    /// A text of any length, taken out of the body: it is not held twice.
    pub(super) fn taken(&mut self, field: &str) -> Option<String> {
        match self.object.remove(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.wrong(field, "must be a text");
                None
            }
        }
    }

    /// A text that `parse` understands; its error says what is wrong.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        field: &str,
        required: bool,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        const TEXT_CHARS_MAX: usize = 4_096;
        let text = self.text(field, 0..=TEXT_CHARS_MAX, required)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(field, error.to_string());
                None
            }
        }
    }

    /// A text, or a whole number as the text of it.
    pub(super) fn number_or_text(&mut self, field: &str) -> Option<String> {
        match self.object.get(field).and_then(Value::as_i64) {
            Some(number) => Some(number.to_string()),
            None => self.parsed(field, false, |text| Ok::<_, std::convert::Infallible>(text.to_owned())),
        }
    }

    pub(super) fn whole(&mut self, field: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        match self.object.get(field) {
            None | Some(Value::Null) => None,
            Some(value) => {
                let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
                if number.is_none() {
                    self.wrong(field, format!("must be a whole number from {} to {}", range.start(), range.end()));
                }
                number
            }
        }
    }

    /// A number in a range; one that is none is refused with those outside.
    pub(super) fn number(&mut self, field: &str, range: std::ops::RangeInclusive<f64>, required: bool) -> Option<f64> {
        match self.object.get(field) {
            None | Some(Value::Null) if !required => None,
            None | Some(Value::Null) => {
                self.wrong(field, "is required");
                None
            }
            Some(value) => {
                let number = value.as_f64().filter(|number| range.contains(number));
                if number.is_none() {
                    self.wrong(field, format!("must be a number from {} to {}", range.start(), range.end()));
                }
                number
            }
        }
    }

    pub(super) fn flag(&mut self, field: &str) -> Option<bool> {
        match self.object.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.wrong(field, "must be true or false");
                None
            }
        }
    }

    /// A form has no lists: a text there is one, with its entries between commas.
    pub(super) fn spread(&mut self, field: &str) {
        if let Some(value) = self.object.get_mut(field)
            && let Value::String(text) = value
        {
            *value = text.split(',').map(|entry| Value::from(entry.trim())).collect();
        }
    }

    /// A list of texts; each one that `parse` refuses is named by its place.
    pub(super) fn list<T, E: std::fmt::Display>(
        &mut self,
        field: &str,
        count: std::ops::RangeInclusive<usize>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = match self.object.get(field) {
            None | Some(Value::Null) if *count.start() == 0 => return None,
            None | Some(Value::Null) => {
                self.wrong(field, "is required");
                return None;
            }
            Some(Value::Array(items)) => items.clone(),
            Some(_) => {
                self.wrong(field, "must be a list");
                return None;
            }
        };
        if !count.contains(&items.len()) {
            self.wrong(field, format!("must have {} to {} entries", count.start(), count.end()));
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().map(&parse) {
                Some(Ok(value)) => values.push(value),
                Some(Err(error)) => self.wrong(&format!("{field}[{index}]"), error.to_string()),
                None => self.wrong(&format!("{field}[{index}]"), "must be a text"),
            }
        }
        Some(values)
    }

    /// A list of objects whose own fields are read one by one; give each back to [`Fields::take_in`].
    pub(super) fn inner_list(&mut self, field: &str, count: std::ops::RangeInclusive<usize>) -> Vec<Self> {
        let items = match self.object.get(field) {
            None | Some(Value::Null) => {
                self.wrong(field, "is required");
                return Vec::new();
            }
            Some(Value::Array(items)) => items.clone(),
            Some(_) => {
                self.wrong(field, "must be a list");
                return Vec::new();
            }
        };
        if !count.contains(&items.len()) {
            self.wrong(field, format!("must have {} to {} entries", count.start(), count.end()));
            return Vec::new();
        }
        let mut inner = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let name = format!("{field}[{index}]");
            match item {
                Value::Object(object) => {
                    inner.push(Self { within: format!("{}{name}.", self.within), ..Self::of(object) });
                }
                _ => self.wrong(&name, "must be an object"),
            }
        }
        inner
    }

    /// An object whose values are texts.
    pub(super) fn texts(&mut self, field: &str, count_max: usize) -> Option<Vec<(String, String)>> {
        let object = match self.object.get(field) {
            None | Some(Value::Null) => return None,
            Some(Value::Object(object)) => object.clone(),
            Some(_) => {
                self.wrong(field, "must be an object of texts");
                return None;
            }
        };
        if object.len() > count_max {
            self.wrong(field, format!("must have at most {count_max} entries"));
            return None;
        }
        let mut texts = Vec::with_capacity(object.len());
        for (name, value) in object {
            match value.as_str() {
                Some(text) => texts.push((name, text.to_owned())),
                None => self.wrong(&format!("{field}.{name}"), "must be a text"),
            }
        }
        Some(texts)
    }

    /// Ends the reading: every error at once, or nothing.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.errors)) }
    }
}
