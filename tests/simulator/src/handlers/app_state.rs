//! App state: collections of encrypted patches. As the real server, it cannot read them: it checks the base version,
//! stamps the new one, keeps the patch, and gives it to whoever is behind.

use crate::account::{Account, Collection};
use crate::connection::Session;
use crate::node::{attr, body, child, children, leaf, message_id, result};
use crate::snapshot::{self, SNAPSHOT_PATCHES_MIN};
use crate::wa;
use crate::world::World;
use anyhow::{Result, ensure};
use prost::Message as _;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

pub(super) fn handle(world: &World, session: &Session, node: &Node) -> Result<()> {
    let mut answers = Vec::new();
    let mut changed = Vec::new();
    let mut whole = Vec::new();
    {
        let mut owner = session.account.state();
        for request in child(node, "sync").map(children).unwrap_or_default() {
            let name = attr(request, "name");
            let base: u64 = attr(request, "version").parse().unwrap_or(0);
            let collection = owner.collections.entry(name.clone()).or_default();
            match child(request, "patch") {
                Some(patch) if base == collection.version => {
                    append(collection, &body(patch))?;
                    changed.push((name.clone(), collection.version));
                    answers.push(
                        NodeBuilder::new("collection").attr("name", name).attr("version", collection.version).build(),
                    );
                }
                Some(_) => answers.push(conflict(&name, collection.version)),
                None if base == 0
                    && attr(request, "return_snapshot") == "true"
                    && collection.patches.len() >= SNAPSHOT_PATCHES_MIN =>
                {
                    whole.push((name, collection.version, collection.patches.clone()));
                }
                None => answers.push(behind(&name, collection, base)),
            }
        }
    }
    for (name, version, patches) in whole {
        answers.push(snapshot_answer(world, session, &name, version, patches)?);
    }
    session.line.send(result(node, vec![NodeBuilder::new("sync").children(answers).build()]));
    for (name, version) in changed {
        tell_of_patch(world, &session.account, Some(session.device), &name, version);
    }
    Ok(())
}

/// All of a collection in a file; patch by patch when that cannot be.
fn snapshot_answer(world: &World, session: &Session, name: &str, version: u64, patches: Vec<Vec<u8>>) -> Result<Node> {
    let (key_id, key) = &session.account.sync_key;
    let Some(sealed) = snapshot::of(name, version, &patches, key_id, key)? else {
        return Ok(behind(name, &Collection { version, patches }, 0));
    };
    let reference = leaf("snapshot", snapshot::reference(&sealed));
    ensure!(world.keep_file(sealed.path, sealed.blob.into()), "the media host is full");
    Ok(NodeBuilder::new("collection")
        .attr("name", name.to_owned())
        .attr("version", version)
        .children([reference])
        .build())
}

fn append(collection: &mut Collection, patch: &[u8]) -> Result<()> {
    collection.version += 1;
    // Fields that our protobuf does not know must survive: the version is put in front of the patch as it came, and a
    // decoder takes the last value of a field, so a version in the patch is cut by sending ours behind it.
    let version = Some(wa::SyncdVersion { version: Some(collection.version) });
    let stamp = wa::SyncdPatch { version, ..Default::default() };
    collection.patches.push([patch, &stamp.encode_to_vec()].concat());
    Ok(())
}

fn conflict(name: &str, version: u64) -> Node {
    let error = NodeBuilder::new("error").attr("code", 409_u32).attr("text", "conflict").build();
    NodeBuilder::new("collection")
        .attr("name", name.to_owned())
        .attr("version", version)
        .attr("type", "error")
        .children([error])
        .build()
}

fn behind(name: &str, collection: &Collection, base: u64) -> Node {
    let answer = NodeBuilder::new("collection").attr("name", name.to_owned()).attr("version", collection.version);
    let skip = usize::try_from(base).unwrap_or(usize::MAX);
    let patches: Vec<Node> = collection.patches.iter().skip(skip).map(|patch| leaf("patch", patch.clone())).collect();
    if patches.is_empty() {
        return answer.build();
    }
    answer.children([NodeBuilder::new("patches").children(patches).build()]).build()
}

/// Tells the account's devices, but who wrote it, that a collection has another version.
pub(crate) fn tell_of_patch(world: &World, account: &Account, by: Option<u16>, name: &str, version: u64) {
    let news = NodeBuilder::new("collection").attr("name", name.to_owned()).attr("version", version).build();
    let notification = NodeBuilder::new("notification")
        .attr("from", account.phone_jid(0))
        .attr("type", "server_sync")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([news])
        .build();
    world.deliver_to_all(account, by, &notification);
}
