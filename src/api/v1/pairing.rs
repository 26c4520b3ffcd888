//! Linking a device by QR or by code.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::jid::PhoneNumber;
use crate::limits::Key;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use qrcode::render::unicode::Dense1x2;
use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;
use utoipa::ToSchema;

/// Pixels of one square of the code, and squares of white around it as the standard asks (ISO/IEC 18004).
const MODULE_PIXELS: usize = 6;
const QUIET_MODULES: usize = 4;

/// A code to scan.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct QrShown {
    /// The picture as a data URL, `data:image/png;base64,...`.
    qr_code: String,
    /// What the picture says.
    qr_text: String,
    /// Unix milliseconds.
    expires_at: i64,
    message: &'static str,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct AskForCode {
    /// The number of the phone, 10 to 15 digits with the country code.
    #[schema(example = "6281234567890")]
    phone_number: String,
}

/// A code to type into the phone.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CodeShown {
    /// `ABCD-EFGH`
    pairing_code: String,
    phone_number: PhoneNumber,
    /// Unix milliseconds.
    expires_at: i64,
    message: &'static str,
}

/// Get the QR code that links a device
///
/// Starts the device if needed and waits for the code. `Accept: image/png` and `image/svg+xml` answer the picture,
/// `text/plain` one for a terminal; anything else JSON with the picture as a data URL. Asking again answers the current
/// code.
#[utoipa::path(post, path = "/devices/{device}/pairing/qr", operation_id = "pairByQr", tag = "Pairing",
    responses(
        (status = 200, content((Envelope<QrShown> = "application/json"), (Vec<u8> = "image/png"),
            (String = "image/svg+xml"), (String = "text/plain"))),
        (status = 409, response = crate::api::openapi::Refusal),
        (status = 504, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn qr(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    api.limits.charge(&Key::Pairing(device.id().clone()))?;
    let qr = api.directory.pairing_qr(&device.tenant.id, device.id(), api.settings.pairing_wait).await?;
    api.store.audit(device.audit("device.qr_requested")).await?;
    let drawn = QrCode::with_error_correction_level(qr.text.as_bytes(), EcLevel::L)
        .map_err(|error| ApiError::Internal(format!("a qr code could not be drawn: {error}")))?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("image/svg+xml") {
        let svg = drawn.render::<qrcode::render::svg::Color<'_>>().min_dimensions(256, 256).build();
        return Ok(([(CONTENT_TYPE, "image/svg+xml")], svg).into_response());
    }
    if accept.contains("text/plain") {
        // Light on dark, as most terminals are: dark modules are the terminal's own background.
        let text =
            drawn.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).quiet_zone(true).build();
        return Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response());
    }
    let png = png(&drawn).map_err(|error| ApiError::Internal(format!("a png could not be written: {error}")))?;
    if accept.contains("image/png") {
        return Ok(([(CONTENT_TYPE, "image/png")], png).into_response());
    }
    let shown = QrShown {
        qr_code: format!("data:image/png;base64,{}", BASE64.encode(png)),
        qr_text: qr.text,
        expires_at: qr.expires_at,
        message: "scan this with WhatsApp: Settings, Linked devices, Link a device",
    };
    Ok(enveloped(shown).into_response())
}

/// Get a code that links a device, to be typed into the phone
///
/// Also after a QR code was shown.
#[utoipa::path(post, path = "/devices/{device}/pairing/code", operation_id = "pairByCode", tag = "Pairing",
    request_body = AskForCode,
    responses((status = 200, body = Envelope<CodeShown>), (status = 409, response = crate::api::openapi::Refusal),
        (status = 504, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn code(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    mut fields: Fields,
) -> Answer<CodeShown> {
    let phone = fields.parsed("phone_number", true, phone_number);
    fields.finish()?;
    let Some(phone) = phone else { return Err(ApiError::field("phone_number", "is required")) };
    api.limits.charge(&Key::Pairing(device.id().clone()))?;
    let wait = api.settings.pairing_wait;
    let pairing = api.directory.pairing_code(&device.tenant.id, device.id(), &phone, wait).await?;
    api.store.audit(device.audit("device.pairing_code_requested")).await?;
    Ok(enveloped(CodeShown {
        pairing_code: pairing.code,
        phone_number: phone,
        expires_at: pairing.expires_at,
        message: "type this code into WhatsApp: Settings, Linked devices, Link with phone number",
    }))
}

/// Pairing takes 10 to 15 digits; shorter numbers exist but WhatsApp links none of them.
fn phone_number(text: &str) -> Result<PhoneNumber, String> {
    const DIGITS_MIN: usize = 10;
    let phone = PhoneNumber::parse(text).map_err(|error| error.to_string())?;
    if phone.as_str().len() < DIGITS_MIN {
        return Err("must have 10 to 15 digits, with the country code".to_owned());
    }
    Ok(phone)
}

fn png(code: &QrCode) -> Result<Vec<u8>, png::EncodingError> {
    let modules = code.width();
    let side = (modules + 2 * QUIET_MODULES) * MODULE_PIXELS;
    let colors = code.to_colors();
    let pixel = |x: usize, y: usize| {
        let module = |pixel: usize| (pixel / MODULE_PIXELS).checked_sub(QUIET_MODULES).filter(|m| *m < modules);
        match (module(x), module(y)) {
            (Some(x), Some(y)) if colors[y * modules + x] == Color::Dark => 0_u8,
            _ => 255,
        }
    };
    let pixels: Vec<u8> = (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
    let mut bytes = Vec::new();
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(bytes)
}
