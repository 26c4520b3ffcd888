//! Queries of WhatsApp's GraphQL, which newsletters and the groups of communities are asked with. The library knows their numbers
//! and writes them; what they answer is read here, because it keeps a refusal as a sentence and roles in one spelling.

use super::{Account, AccountError, refusal};
use serde::Serialize;
use serde_json::Value;
use wacore::iq::mex::{MexDoc, MexQuerySpec, MexResponse};
use wacore::iq::spec::IqSpec;
use wacore::request::InfoQuery;
use wacore_binary::{NodeContentRef, NodeRef};

/// The name and the number of a query, as the library has them.
pub(super) type Doc = (&'static str, &'static str);

/// A code like HTTP's, and WhatsApp's words.
type Refused = (u16, String);

struct Query(MexQuerySpec);

impl IqSpec for Query {
    type Response = Result<Value, Refused>;

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        let answer = response.get_optional_child("result").and_then(|result| result.content.as_ref());
        let answer: MexResponse = match answer {
            Some(NodeContentRef::Bytes(bytes)) => serde_json::from_slice(bytes)?,
            Some(NodeContentRef::String(text)) => serde_json::from_str(text)?,
            _ => anyhow::bail!("a query has no result"),
        };
        Ok(match answer.fatal_error() {
            Some(error) => {
                let code = error.error_code().and_then(|code| u16::try_from(code).ok());
                Err((code.unwrap_or(500), error.message.clone()))
            }
            None => Ok(answer.data.unwrap_or_default()),
        })
    }
}

impl Account {
    /// What stands under `field` of the answer. Nothing there means that there is no such `what`.
    pub(super) async fn query(
        &self,
        what: &'static str,
        field: &str,
        (name, id): Doc,
        variables: impl Serialize,
    ) -> Result<Value, AccountError> {
        let asked = MexQuerySpec::new(MexDoc { name, id }, &variables);
        let asked = asked.map_err(|error| AccountError::Failed(format!("a query could not be written: {error}")))?;
        let answer = self.ask(what, self.client.execute(Query(asked))).await?;
        let mut answer = answer.map_err(|(code, text)| refusal(code, text, None).about(what))?;
        match answer.get_mut(field).map(Value::take) {
            Some(found) if !found.is_null() => Ok(found),
            _ => Err(AccountError::NotFound(what)),
        }
    }
}

/// WhatsApp writes some numbers as texts.
pub(in crate::whatsapp) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A text that says something.
pub(in crate::whatsapp) fn words(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn read(answer: &str) -> Result<Result<Value, Refused>, anyhow::Error> {
        let query = MexQuerySpec::new(MexDoc { name: "n", id: "1" }, &Value::Null).expect("it can be written");
        let result = NodeBuilder::new("result").bytes(answer.as_bytes().to_vec()).build();
        Query(query).parse_response(&NodeBuilder::new("iq").children([result]).build().as_node_ref())
    }

    #[test]
    fn a_refusal_keeps_its_code_and_its_words() {
        let refused = r#"{"data":null,"errors":[{"message":"Forbidden","extensions":{"error_code":403}}]}"#;
        assert_eq!(read(refused).expect("it reads"), Err((403, "Forbidden".into())));
        assert_eq!(read(r#"{"errors":[{"message":"why"}]}"#).expect("it reads"), Err((500, "why".into())));
        assert_eq!(read(r#"{"data":{"a":1}}"#).expect("it reads"), Ok(serde_json::json!({ "a": 1 })));
        assert!(read("no json").is_err());
    }
}
