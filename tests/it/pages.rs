//! Pages of docs/ that list something whole, held against what they list.

use crate::support::tenant;
use rijan::config::DEFAULTS;
use std::path::PathBuf;

const KEYS_BEGIN: &str = "<!-- keys: from config/default.toml, rewritten by the tests -->\n";
const KEYS_END: &str = "<!-- end of keys -->\n";

fn page(name: &str) -> (PathBuf, String) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let text = std::fs::read_to_string(&file).unwrap();
    (file, text)
}

/// Key, default and meaning, as the commented defaults say them.
fn keys(defaults: &str) -> Vec<(String, String, String)> {
    let (mut section, mut about, mut keys) = (String::new(), Vec::new(), Vec::new());
    for line in defaults.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            about.push(comment);
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
            about.clear();
        } else if let Some((key, value)) = line.split_once(" = ") {
            keys.push((format!("{section}{key}"), value.to_owned(), about.join(" ")));
            about.clear();
        } else {
            about.clear();
        }
    }
    keys
}

/// The table is made from the defaults that are built in: this test rewrites it and fails when it was not up to date.
#[test]
fn every_configuration_key_has_its_row() {
    let rows: Vec<String> = keys(DEFAULTS)
        .iter()
        .map(|(key, value, about)| format!("| `{key}` | `{value}` | {} |\n", about.replace("|", "\\|")))
        .collect();
    let (file, before) = page("configuration.md");
    let (head, rest) = before.split_once(KEYS_BEGIN).expect("docs/configuration.md has a place for the keys");
    let (_, tail) = rest.split_once(KEYS_END).expect("and an end of it");

    let table = format!("\n| key | default | meaning |\n|---|---|---|\n{}\n", rows.concat());
    let now = [head, KEYS_BEGIN, &table, KEYS_END, tail].concat();
    std::fs::write(&file, &now).unwrap();

    assert!(before == now, "docs/configuration.md was out of date; it is rewritten now, look at the difference");
    let known: toml::Table = DEFAULTS.parse().unwrap();
    let count: usize = known.values().map(|value| value.as_table().map_or(1, toml::Table::len)).sum();
    assert_eq!(rows.len(), count, "a key of the defaults was not read");
    let without: Vec<_> = keys(DEFAULTS).into_iter().filter(|(_, _, about)| about.is_empty()).collect();
    assert!(without.is_empty(), "{without:?} have no comment in config/default.toml");
}

#[test]
fn a_key_is_read_with_its_section_its_default_and_all_of_its_comment() {
    let text = "# Of the file.\n\n# First,\n# and more\na = 1\n\n# Of the section\n[b]\n# Second\nc = \"x\"\nd = []\n";

    let read = keys(text);

    let key = |key: &str, value: &str, about: &str| (key.to_owned(), value.to_owned(), about.to_owned());
    assert_eq!(read, [key("a", "1", "First, and more"), key("b.c", "\"x\"", "Second"), key("b.d", "[]", "")]);
}

/// That the page has no others is tested where metrics are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_that_is_scraped_has_its_row() {
    let gateway = tenant().await;
    gateway.send_text("something to count", "key").await.unwrap();

    let scraped = gateway.http.get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();

    let (_, page) = page("metrics.md");
    let names: Vec<&str> = scraped.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.contains(&"rijan_messages_sent"), "{names:?}");
    let without: Vec<&&str> = names.iter().filter(|name| !page.contains(&format!("| `{name}` |"))).collect();
    assert!(without.is_empty(), "docs/metrics.md lacks {without:?}");
}
