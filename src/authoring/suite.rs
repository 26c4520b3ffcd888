//! A project's fixtures, all of them: found, run, and told line by line.

use super::build::{self, BuildError};
use super::fixture::{Difference, FIXTURE_BYTES_MAX, Fixture};
use super::rehearsal::{self, Outcome};
use super::stage::Stage;
use crate::domain::clock::Clock;
use crate::plugins::Examined;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};

const FOLDER: &str = "tests";

/// Runs `tests/*.json` of a project against its component. Returns what to print, and whether all of it came as expected.
pub(super) async fn run(folder: &Path, component: Option<&Path>, build_first: bool) -> anyhow::Result<(String, bool)> {
    let manifest = build::read_manifest(folder)?;
    if build_first {
        build::build(folder, component)?;
    }
    let file = component.map_or_else(|| folder.join(format!("{}.wasm", manifest.name)), Path::to_owned);
    let bytes = std::fs::read(&file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!(
            "{} is not there: build it with `rijan plugin build {}`, or add --build",
            file.display(),
            folder.display()
        ),
        _ => BuildError::File { path: file.clone(), source }.into(),
    })?;
    let fixtures = fixtures(folder)?;
    let stage = Stage::set(Clock::manual(0)).await?;
    let examined = stage.plugins.examine(bytes).await.with_context(|| file.display().to_string())?;
    ensure!(
        examined.manifest == manifest,
        "{} was built from another manifest than the one in {}: build it again, or add --build",
        file.display(),
        folder.display()
    );
    let mut told = Vec::new();
    let (mut steps, mut failed) = (0_usize, 0_usize);
    for path in &fixtures {
        let (fixture, outcomes) = one(&stage, &examined, path).await?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        told.push(match &fixture.name {
            Some(title) => format!("{name}: {title}"),
            None => name.into_owned(),
        });
        for outcome in &outcomes {
            steps += 1;
            failed += usize::from(!outcome.differences.is_empty());
            told.extend(lines(outcome));
        }
    }
    let (name, version) = (&manifest.name, &manifest.version);
    let count = |count: usize, of: &str| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
    let all = format!("{} of {}", count(steps, "step"), count(fixtures.len(), "fixture"));
    told.push(match failed {
        0 => format!("{name} {version}: {all}, all as expected"),
        _ => format!("{name} {version}: {failed} of {all} not as expected"),
    });
    Ok((told.join("\n"), failed == 0))
}

fn fixtures(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = folder.join(FOLDER);
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{} has no fixtures (*.json)", folder.display());
    }
    files.sort();
    Ok(files)
}

async fn one(stage: &Stage, examined: &Examined, path: &Path) -> anyhow::Result<(Fixture, Vec<Outcome>)> {
    let named = || path.display().to_string();
    let bytes = std::fs::metadata(path).with_context(named)?.len();
    ensure!(bytes <= FIXTURE_BYTES_MAX as u64, "{} has more than {FIXTURE_BYTES_MAX} bytes", path.display());
    let fixture = Fixture::parse(&std::fs::read_to_string(path).with_context(named)?).with_context(named)?;
    let outcomes = rehearsal::rehearse(stage, examined, &fixture).await.with_context(named)?;
    Ok((fixture, outcomes))
}

fn lines(outcome: &Outcome) -> Vec<String> {
    let word = if outcome.differences.is_empty() { "ok  " } else { "FAIL" };
    let took = outcome.took.map(|took| format!("  {:.2} ms", took.as_secs_f64() * 1000.0)).unwrap_or_default();
    let mut lines = vec![format!("  {word}  {}{took}", outcome.name)];
    for Difference { at, expected, actual } in &outcome.differences {
        lines.push(format!("        {at}"));
        lines.push(format!("          expected  {expected}"));
        lines
            .push(format!("          came      {}", actual.as_ref().map_or("nothing".to_owned(), ToString::to_string)));
    }
    lines
}
