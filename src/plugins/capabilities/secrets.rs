//! Secrets of the tenant, by name.

use crate::plugins::bindings::secrets;
use crate::plugins::state::State;
use wasmtime::Result;

impl secrets::Host for State {
    fn get(&mut self, name: String) -> Result<Result<String, secrets::Error>> {
        if !self.home.granted.allows_secret(&name) {
            return Ok(Err(secrets::Error::NotGranted));
        }
        let Some(secret) = self.home.secrets.get(&name) else { return Ok(Err(secrets::Error::NotSet)) };
        // Once, however often it is asked for: a guest has time to ask millions of times.
        if !self.call.revealed.contains(secret) {
            self.call.revealed.push(secret.clone());
        }
        Ok(Ok(secret.expose().to_owned()))
    }
}
