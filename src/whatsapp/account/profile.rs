//! What this account shows of itself.

use super::{Account, AccountError, Person, PictureLink};
use crate::domain::group::Picture;
use serde::Serialize;
use utoipa::ToSchema;

/// This account as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Profile {
    #[serde(flatten)]
    pub person: Person,
    pub name: String,
    pub about: Option<String>,
    pub picture: Option<PictureLink>,
}

impl Account {
    pub async fn profile(&self) -> Result<Profile, AccountError> {
        let me = self.own_jid()?;
        let contacts = self.client.contacts();
        let told = self.ask("account", contacts.get_user_info(std::slice::from_ref(&me))).await?;
        let picture = self.ask("account", contacts.get_profile_picture(&me, false)).await?;
        let about = told.into_values().next().and_then(|info| info.status).filter(|about| !about.is_empty());
        let lid = self.client.lid().map(|lid| lid.to_non_ad().to_string());
        Ok(Profile {
            person: Person { jid: me.to_string(), phone: Some(me.user.to_string()), lid },
            name: self.client.push_name(),
            about,
            picture: picture.map(|picture| PictureLink { id: picture.id, url: picture.url }),
        })
    }

    pub async fn set_name(&self, name: &str) -> Result<(), AccountError> {
        self.ask("account", self.client.profile().set_push_name(name)).await
    }

    /// An empty one takes it away.
    pub async fn set_about(&self, about: &str) -> Result<(), AccountError> {
        self.ask("account", self.client.profile().set_status_text(about)).await
    }

    /// Returns WhatsApp's id of the picture.
    pub async fn set_picture(&self, picture: Picture) -> Result<String, AccountError> {
        Ok(self.ask("account", self.client.profile().set_profile_picture(picture.into_bytes())).await?.id)
    }

    pub async fn remove_picture(&self) -> Result<(), AccountError> {
        self.ask("account", self.client.profile().remove_profile_picture()).await.map(|_| ())
    }
}
