//! How much the engine takes in, as the configuration says: at the start, and with every epoch after it.
//!
//! Invariant: an administrator's instruction is never refused by a bound, or a full gateway could not be told to take more.

use smsgw_config::{Config, ConfigHandle, EngineSection};
use smsgw_message::names;
use smsgw_queue::{Bound, Bounds, Engine};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec};
use std::sync::Arc;
use tracing::info;

/// The bounds of a configuration.
pub(crate) fn of(config: &Config) -> Bounds {
    let EngineSection {
        max_records,
        max_octets,
        queue_max_records,
        queue_max_octets,
        max_dead_letters,
        ..
    } = &config.engine;
    // 0 is no bound.
    let bound = |records: u64, octets: u64| Bound {
        records: if records == 0 { u64::MAX } else { records },
        octets: if octets == 0 { u64::MAX } else { octets },
    };
    Bounds {
        engine: bound(*max_records, max_octets.as_u64()),
        queue: bound(*queue_max_records, queue_max_octets.as_u64()),
        exempt: [names::INSTRUCTIONS.into()].into(),
        dead_letters: bound(0, max_dead_letters.as_u64()),
        ..Bounds::NONE
    }
}

/// Sets what each new epoch says.
pub(crate) fn follow(engine: Arc<dyn Engine>, config: ConfigHandle) -> ChildSpec {
    ChildSpec::task("bounds", move |ctx| {
        keep(ctx, Arc::clone(&engine), config.clone())
    })
}

async fn keep(ctx: ChildContext, engine: Arc<dyn Engine>, config: ConfigHandle) -> Result<(), ChildError> {
    let mut epochs = config.subscribe();
    ctx.ready();
    loop {
        epochs.borrow_and_update();
        // A start after a crash of this part finds what changed meanwhile.
        let bounds = of(&config.config());
        if bounds != engine.bounds() {
            info!(?bounds, "bounds of the engine");
            engine.set_bounds(bounds);
        }
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            changed = epochs.changed() => if changed.is_err() {
                // Nobody can publish any more: the bounds stay as they are.
                ctx.draining().await;
                return Ok(());
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_queue::{Amount, Full, Lane, MemoryEngine, Step, StepId};

    fn config(engine: &str) -> Config {
        Config::parse("t.toml", &format!("[node]\nname = \"t\"\n[engine]\n{engine}")).expect("it is right")
    }

    #[test]
    fn zero_is_no_bound_and_instructions_are_exempt() {
        let bounds = of(&config(
            "max_records = 0\nmax_octets = \"0B\"\nqueue_max_records = 2",
        ));
        assert_eq!(bounds.engine, Bound::NONE);
        assert_eq!(
            bounds.queue,
            Bound {
                records: 2,
                octets: u64::MAX
            }
        );
        let full = Amount {
            records: 2,
            octets: 0,
        };
        let lane = || Lane::new(smsgw_message::Class::Otp, "x");
        let to = |queue: &'static str| {
            let step = Step::new(StepId::from_bytes([1; 16])).publish(queue, lane(), bytes::Bytes::new());
            bounds.admit(&step, full, |_| full)
        };
        assert_eq!(to(names::INSTRUCTIONS), Ok(()));
        assert_eq!(to("q"), Err(Full::Queue("q".into())));
    }

    #[tokio::test]
    async fn a_new_epoch_changes_the_bounds_of_the_running_engine() {
        let engine = MemoryEngine::new(crate::boot::clock());
        let handle = ConfigHandle::new(config("max_records = 1"));
        let tree = smsgw_runtime::Supervisor::new("t", smsgw_runtime::Strategy::OneForOne)
            .child(follow(engine.clone(), handle.clone()))
            .spawn()
            .await;
        for most in [1, 7] {
            handle.publish(config(&format!("max_records = {most}")));
            for _ in 0..1000 {
                if engine.bounds().engine.records == most {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            assert_eq!(engine.bounds().engine.records, most);
        }
        tree.stop().await;
    }
}
