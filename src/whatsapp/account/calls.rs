//! Calls that came in. They can be rejected; answering one is no thing for a gateway.

use super::{Account, AccountError};

impl Account {
    /// A call that rings on this device. WhatsApp does not answer a rejection.
    pub async fn reject_call(&self, id: &str) -> Result<(), AccountError> {
        let call = self.memory.call(id).ok_or(AccountError::NotFound("call"))?;
        self.ask("call", self.client.voip().reject_call(&call.id, &call.from, &call.creator)).await?;
        self.memory.call_ended(id);
        Ok(())
    }
}
