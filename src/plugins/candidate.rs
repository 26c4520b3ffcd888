//! Versions on trial, from their arrival until they serve or are given up. Each step is a change of the registry: whole or
//! not at all, and durable before it counts.

use super::pipeline::{Entry, OnTrial, Pipeline, Shadow, ShadowGate};
use super::registry::{Plugins, PluginsError, ReloadOutcome, Wanted};
use super::settings::InvalidSettings;
use crate::domain::ids::TenantId;
use crate::domain::trial::{Candidate, Trial, TrialMode};
use crate::store::{MANAGED_BY_API, PluginRow};
use std::sync::Arc;

/// What somebody wants the version on trial to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing of the plugin is on trial any more.
    Serving,
    OnTrial(TrialMode),
}

/// The versions of one plugin that are asked.
pub(super) struct Seat {
    pub(super) serving: Arc<Entry>,
    pub(super) candidate: Option<Arc<Entry>>,
}

impl Seat {
    /// Both versions.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        [Some(&self.serving), self.candidate.as_ref()].into_iter().flatten()
    }
}

/// A pipeline of these, in their order. A shadow that watched before goes on with what waits for it.
pub(super) fn seated(empty: Pipeline, seats: Vec<Seat>, before: Option<&Pipeline>, gate: &ShadowGate) -> Pipeline {
    let mut pipeline = empty;
    for (place, seat) in seats.into_iter().enumerate() {
        if let Some(candidate) = seat.candidate
            && let Some(mode) = candidate.mode
        {
            let shadow = match (mode, candidate.version()) {
                (TrialMode::Shadow, Some(version)) => {
                    let shadows =
                        before.into_iter().flat_map(|before| &before.trials).filter_map(|on| on.shadow.clone());
                    let known = shadows.into_iter().find(|shadow| shadow.is_of(version));
                    known.or_else(|| Shadow::start(&pipeline, candidate.clone(), gate.clone()))
                }
                _ => None,
            };
            pipeline.trials.push(OnTrial { place, mode, serving: seat.serving.clone(), candidate, shadow });
        }
        pipeline.entries.push(seat.serving);
    }
    pipeline
}

impl Wanted {
    /// Whether only a version on trial would be asked.
    pub(super) fn is_alone(&self) -> bool {
        self.trial.as_ref().is_some_and(Trial::is_alone)
    }

    /// The version on trial as a plugin of its own; none when none is, or it failed too often.
    pub(super) fn on_trial(&self) -> Option<(Self, TrialMode)> {
        let trial = self.trial.as_ref().filter(|trial| trial.halted.is_none())?;
        let wanted = match &trial.candidate {
            Some(candidate) => Self { sha256: candidate.sha256.clone(), ..self.clone() },
            None => self.clone(),
        };
        Some((wanted, trial.mode))
    }

    /// Says what the version on trial does. Of a plugin without a candidate its own component is what is on trial.
    pub(super) fn set_mode(&mut self, mode: Mode) -> Result<(), InvalidSettings> {
        let candidate = self.trial.take().and_then(|trial| trial.candidate);
        self.trial = match (mode, candidate) {
            (Mode::Serving, None) => None,
            (Mode::Serving, Some(_)) => {
                let why = "mode: there is a candidate beside what serves; promote it, or roll it back";
                return Err(InvalidSettings(vec![why.to_owned()]));
            }
            (Mode::OnTrial(mode), candidate) => Some(Trial { candidate, mode, halted: None }),
        };
        Ok(())
    }

    /// Another component in the place of the plugin's own.
    pub(super) fn replace_component(&mut self, sha256: &str) {
        if self.is_alone()
            && self.sha256 != sha256
            && let Some(trial) = &mut self.trial
        {
            trial.halted = None;
        }
        sha256.clone_into(&mut self.sha256);
    }

    /// Another component, which is on trial: beside what serves, if anything does.
    pub(super) fn try_component(&mut self, sha256: &str, mode: TrialMode) {
        let nothing_serves = self.sha256.is_empty() || self.is_alone();
        let candidate = match nothing_serves {
            true => {
                sha256.clone_into(&mut self.sha256);
                None
            }
            false => Some(Candidate { sha256: sha256.to_owned(), file: None }),
        };
        self.trial = Some(Trial { candidate, mode, halted: None });
    }

    /// A canary that lost its chats stays without them until its component or its weight is another one.
    pub(super) fn halted_as(mut self, row: Option<&PluginRow>) -> Self {
        let before = row.and_then(|row| Some((row.trial.as_ref()?, &row.sha256)));
        if let (Some(trial), Some((known, sha256))) = (&mut self.trial, before) {
            let same_component = trial.candidate.is_some() || *sha256 == self.sha256;
            if trial.is_as(known) && same_component {
                trial.halted.clone_from(&known.halted);
            }
        }
        self
    }
}

impl Plugins {
    /// The version on trial serves from now on; what served is the previous one, to go back to.
    pub async fn promote(&self, tenant: &TenantId, name: &str) -> Result<ReloadOutcome, PluginsError> {
        self.change(tenant, |plugins| {
            let plugin = plugins.iter_mut().find(|plugin| plugin.name == name).ok_or(PluginsError::NotFound)?;
            if plugin.managed_by != MANAGED_BY_API {
                let (name, file) = (name.to_owned(), plugin.managed_by.clone());
                return Err(PluginsError::TrialOfFile { name, file, todo: PROMOTE_IN_FILE });
            }
            let trial = plugin.trial.take().ok_or(PluginsError::NoTrial)?;
            if let Some(candidate) = trial.candidate {
                plugin.sha256 = candidate.sha256;
                plugin.file = candidate.file.or(plugin.file.take());
            }
            Ok(())
        })
        .await
    }

    /// Gives up what is on trial: a candidate goes, and of a plugin that was on trial itself nothing is asked any more.
    pub(super) async fn end_trial(&self, tenant: &TenantId, name: &str) -> Result<ReloadOutcome, PluginsError> {
        self.change(tenant, |plugins| {
            let plugin = plugins.iter_mut().find(|plugin| plugin.name == name).ok_or(PluginsError::NotFound)?;
            if plugin.managed_by != MANAGED_BY_API {
                let (name, file) = (name.to_owned(), plugin.managed_by.clone());
                return Err(PluginsError::TrialOfFile { name, file, todo: END_IN_FILE });
            }
            plugin.enabled &= !plugin.is_alone();
            plugin.trial = None;
            Ok(())
        })
        .await
    }

    /// Another component for what is on trial beside what serves, everything else as it is.
    pub(super) async fn replace_candidate(
        &self,
        tenant: &TenantId,
        name: &str,
        sha256: &str,
    ) -> Result<ReloadOutcome, PluginsError> {
        self.change(tenant, |plugins| {
            let plugin = plugins.iter_mut().find(|plugin| plugin.name == name).ok_or(PluginsError::NotFound)?;
            let trial = plugin.trial.as_mut().ok_or(PluginsError::NoTrial)?;
            let candidate = trial.candidate.as_mut().ok_or(PluginsError::NoTrial)?;
            if candidate.sha256 != sha256 {
                sha256.clone_into(&mut candidate.sha256);
                trial.halted = None;
            }
            Ok(())
        })
        .await
    }
}

const PROMOTE_IN_FILE: &str = "to promote what is on trial, make the candidate's file or sha256 the plugin's own there and take the candidate \
     away, or take its mode or weight away";
const END_IN_FILE: &str = "to give up what is on trial, take the candidate away there, or set enabled = false";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::settings::PluginSettings;
    use std::collections::BTreeMap;

    fn serving() -> Wanted {
        Wanted {
            name: "p".into(),
            managed_by: MANAGED_BY_API.into(),
            enabled: true,
            sha256: "aa".into(),
            file: None,
            settings: PluginSettings::default(),
            secrets: BTreeMap::new(),
            trial: None,
        }
    }

    #[test]
    fn a_component_on_trial_stands_beside_what_serves_and_in_its_place_when_nothing_does() {
        let mut beside = serving();
        beside.try_component("bb", TrialMode::Shadow);
        let mut new = Wanted { sha256: String::new(), ..serving() };
        new.try_component("bb", TrialMode::Shadow);

        assert_eq!((beside.sha256.as_str(), beside.is_alone()), ("aa", false));
        assert_eq!(beside.on_trial().map(|(wanted, _)| wanted.sha256), Some("bb".into()));
        assert_eq!((new.sha256.as_str(), new.is_alone()), ("bb", true));
        new.try_component("cc", TrialMode::Canary { weight: 5 });
        assert_eq!((new.sha256.as_str(), new.is_alone()), ("cc", true));
    }

    #[test]
    fn a_mode_is_of_the_candidate_and_serving_is_not_said_while_there_is_one() {
        let mut plugin = serving();
        plugin.set_mode(Mode::OnTrial(TrialMode::Shadow)).expect("the plugin itself");
        assert!(plugin.is_alone());
        plugin.set_mode(Mode::Serving).expect("serves again");
        assert_eq!(plugin.trial, None);

        plugin.try_component("bb", TrialMode::Shadow);
        plugin.set_mode(Mode::OnTrial(TrialMode::Canary { weight: 5 })).expect("the candidate");
        let trial = plugin.trial.clone().expect("a trial");
        assert_eq!((trial.mode.weight(), trial.candidate.map(|one| one.sha256)), (Some(5), Some("bb".into())));
        assert!(plugin.set_mode(Mode::Serving).is_err());
    }
}
