//! One instance, called again and again, in every language.

use super::*;
use crate::guests::LANGUAGES;
use crate::support::{alone, resident_mib};

const CALLS: u32 = 100_000;
/// Go and Python collect their garbage when they see fit.
const GROWTH_MIB_MAX: i64 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "the figures are for people")]
async fn an_instance_is_called_a_hundred_thousand_times_in_every_language() {
    if !alone("host::endurance::an_instance_is_called_a_hundred_thousand_times_in_every_language") {
        return;
    }
    for language in LANGUAGES {
        let Some(component) = example(language) else { continue };
        let world = World::new().await;
        let mut settings = everything();
        settings["limits"] = json!({ "instances": 1, "calls_per_instance": 1_000_000, "call_ms": 60_000 });
        assert_eq!(world.put("example", component, settings).await, ReloadOutcome::Swapped, "{language}");
        let began = std::time::Instant::now();
        let mut before = 0;
        for number in 0..CALLS {
            if number == CALLS / 10 {
                before = resident_mib();
            }
            if number % 100 == 0 {
                // What it may send in a minute is not what this is about.
                world.clock.advance(Duration::from_secs(61));
            }
            // Most say nothing; some answer, read the event, draw a number, write a value.
            let text = match number % 100 {
                0 => "count",
                1 => "data",
                2 => "dice",
                3..10 => "ping",
                _ => "hello there",
            };
            let decided = world.decide(world.event("1", text)).await;
            assert_eq!(errors(&decided), Vec::<String>::new(), "{language}, call {number}");
        }
        let grown = resident_mib() - before;
        eprintln!("{language}: {CALLS} calls in {:?}, {grown} MiB more", began.elapsed());
        assert!(grown <= GROWTH_MIB_MAX, "{language}: {grown} MiB more after {CALLS} calls");
        let status = world.plugins.status(&world.tenant).await.expect("status");
        assert_eq!(status[0].idle_instances, 1, "{language}");
        assert_eq!(status[0].figures.as_ref().expect("figures").calls, u64::from(CALLS), "{language}: all counted");
    }
}
