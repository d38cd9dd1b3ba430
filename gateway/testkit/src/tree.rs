//! Looks at a supervision tree from a test.

use smsgw_runtime::{ChildSpec, TreeStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A child that does nothing but live, beside a node under test, and its number of starts: it must stay at 1.
pub fn neighbour() -> (ChildSpec, Arc<AtomicUsize>) {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let spec = ChildSpec::task("neighbour", move |ctx| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            ctx.ready();
            ctx.draining().await;
            Ok(())
        }
    });
    (spec, starts)
}

/// Restarts of a part and of everything below it.
pub fn restarts_below(part: &TreeStatus) -> u64 {
    part.restarts + part.children.iter().map(restarts_below).sum::<u64>()
}
