//! What holds for the bodies of all requests, because [`Fields`](crate::api::fields::Fields) reads them: a field that may be
//! left out may be null too, and a body in which nothing is required may be left out as a whole.

use serde_json::Value;
use std::collections::BTreeSet;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Object, OneOf, Schema, SchemaType, Type};
use utoipa::openapi::{Components, OpenApi, Ref, RefOr, Required};

const JSON: &str = "application/json";
const SCHEMAS: &str = "#/components/schemas/";

pub(super) fn complete(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let items = document.paths.paths.values_mut();
    let operations =
        items.flat_map(|item| [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten());
    let mut read_field_by_field = BTreeSet::new();
    for body in operations.filter_map(|operation| operation.request_body.as_mut()) {
        let RefOr::T(body) = body else { continue };
        let Some(schema) = json(body).cloned() else { continue };
        if body.content.len() == 1 && !requires_something(components, &schema) {
            body.required = Some(Required::False);
        }
        gather(components, &schema, &mut read_field_by_field);
    }
    for name in read_field_by_field {
        if let Some(RefOr::T(schema)) = components.schemas.get_mut(&name) {
            let_be_null(schema);
        }
    }
}

fn json(body: &RequestBody) -> Option<&RefOr<Schema>> {
    match body.content.get(JSON)? {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    }
}

fn requires_something(components: &Components, schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::Ref(reference) => {
            let named = components.schemas.get(name_of(reference));
            named.is_some_and(|schema| requires_something(components, schema))
        }
        RefOr::T(Schema::Object(object)) => !object.required.is_empty(),
        RefOr::T(Schema::AllOf(all)) => all.items.iter().any(|part| requires_something(components, part)),
        RefOr::T(_) => true,
    }
}

/// The names of the objects that this is made of. One that takes no fields beside its own is read at once, by another
/// reader, which takes no null for a field.
fn gather(components: &Components, schema: &RefOr<Schema>, names: &mut BTreeSet<String>) {
    match schema {
        RefOr::Ref(reference) => {
            let name = name_of(reference);
            let Some(named) = components.schemas.get(name) else { return };
            if !is_closed(named) && names.insert(name.to_owned()) {
                gather(components, named, names);
            }
        }
        RefOr::T(Schema::Object(object)) => {
            object.properties.values().for_each(|property| gather(components, property, names));
        }
        RefOr::T(Schema::AllOf(all)) => all.items.iter().for_each(|part| gather(components, part, names)),
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &array.items {
                gather(components, items, names);
            }
        }
        RefOr::T(_) => {}
    }
}

fn is_closed(schema: &RefOr<Schema>) -> bool {
    let RefOr::T(Schema::Object(object)) = schema else { return false };
    matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)))
}

fn name_of(reference: &Ref) -> &str {
    reference.ref_location.strip_prefix(SCHEMAS).unwrap_or_default()
}

fn let_be_null(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => {
            let Object { required, properties, .. } = object;
            let optional = properties.iter_mut().filter(|(name, _)| !required.contains(name));
            optional.for_each(|(_, property)| *property = nullable(property.clone()));
        }
        Schema::AllOf(all) => {
            let parts = all.items.iter_mut().filter_map(|part| match part {
                RefOr::T(part) => Some(part),
                RefOr::Ref(_) => None,
            });
            parts.for_each(let_be_null);
        }
        _ => {}
    }
}

fn nullable(property: RefOr<Schema>) -> RefOr<Schema> {
    let with_null = |type_: SchemaType| match type_ {
        SchemaType::Type(type_) if type_ != Type::Null => SchemaType::Array(vec![type_, Type::Null]),
        other => other,
    };
    match property {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = with_null(object.schema_type);
            if let Some(values) = object.enum_values.as_mut().filter(|values| !values.contains(&Value::Null)) {
                values.push(Value::Null);
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = with_null(array.schema_type);
            RefOr::T(Schema::Array(array))
        }
        RefOr::Ref(mut reference) => {
            let description = (!reference.description.is_empty()).then(|| std::mem::take(&mut reference.description));
            let default = reference.default.take();
            let null = Object::with_type(Type::Null);
            let items = vec![RefOr::T(Schema::Object(null)), RefOr::Ref(reference)];
            RefOr::T(Schema::OneOf(OneOf { items, description, default, ..OneOf::default() }))
        }
        other @ RefOr::T(_) => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn document() -> Value {
        serde_json::to_value(crate::api::document()).expect("it can be written")
    }

    #[test]
    fn a_field_that_may_be_left_out_may_be_null_and_one_that_may_not_may_not() {
        let document = document();

        let text = &document["components"]["schemas"]["SendText"]["properties"];

        assert_eq!(text["quotedMessageId"]["type"], json!(["string", "null"]));
        assert_eq!(text["mentions"]["type"], json!(["array", "null"]));
        assert_eq!(text["linkPreview"]["oneOf"][0]["type"], "null");
        assert_eq!(text["text"]["type"], "string");
        let limits = &document["components"]["schemas"]["Limits"]["properties"];
        assert_eq!(limits["memory_mib"]["type"], "integer", "these are read by another reader");
    }

    #[test]
    fn a_body_in_which_nothing_is_required_may_be_left_out() {
        let document = document();

        let required = |path: &str, method: &str| document["paths"][path][method]["requestBody"]["required"].clone();

        assert_eq!(required("/v1/webhooks/{webhook}/rotate-secret", "post"), false);
        assert_eq!(required("/v1/webhooks", "post"), true);
    }
}
