//! The device's own keys and identity, one record.

use super::{Backend, to_json};
use crate::store::SessionKind;
use async_trait::async_trait;
use wacore::store::Device;
use wacore::store::error::Result;
use wacore::store::traits::DeviceStore;

const KEY: &[u8] = b"device";
/// The library numbers devices within a store of its own; here a store holds one.
const ONLY_DEVICE: i32 = 1;

#[async_trait]
impl DeviceStore for Backend {
    async fn save(&self, device: &Device) -> Result<()> {
        self.put(SessionKind::Device, KEY, &to_json(device)?).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        self.get_json(SessionKind::Device, KEY).await
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.get(SessionKind::Device, KEY).await?.is_some())
    }

    async fn create(&self) -> Result<i32> {
        Ok(ONLY_DEVICE)
    }
}
