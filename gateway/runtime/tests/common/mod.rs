//! Children for the tests: one that lives, one that dies on command, one that cannot work.

#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    reason = "shared by several test binaries"
)]

use smsgw_runtime::{ChildContext, ChildError, ChildSpec, ChildState, RestartBackoff, Tree};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// What children did, in order.
#[derive(Clone, Default)]
pub struct Diary(pub Arc<Mutex<Vec<String>>>);

impl Diary {
    pub fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Gets ready after `delay`, then runs until it is drained; dies when told so through `deaths`.
pub fn steady(name: &'static str, delay: Duration, diary: &Diary) -> ChildSpec {
    let diary = diary.clone();
    ChildSpec::task(name, move |ctx| {
        let diary = diary.clone();
        async move {
            diary.write(format!("+{name}"));
            sleep(delay).await;
            ctx.ready();
            ctx.draining().await;
            diary.write(format!("-{name}"));
            Ok(())
        }
    })
}

/// How a [`Mortal`] dies.
pub enum Death {
    Error,
    Panic,
    Return,
    Fatal,
}

/// A child that dies on command.
pub struct Mortal {
    pub deaths: mpsc::Sender<Death>,
    pub spec: ChildSpec,
}

pub fn mortal(name: &'static str, diary: &Diary) -> Mortal {
    let (deaths, orders) = mpsc::channel(1);
    let orders = Arc::new(tokio::sync::Mutex::new(orders));
    let diary = diary.clone();
    let spec = ChildSpec::task(name, move |ctx: ChildContext| {
        let (orders, diary) = (Arc::clone(&orders), diary.clone());
        async move {
            diary.write(format!("+{name}"));
            ctx.ready();
            let mut orders = orders.lock().await;
            let death = tokio::select! {
                death = orders.recv() => death,
                () = ctx.draining() => None,
            };
            diary.write(format!("-{name}"));
            match death {
                Some(Death::Error) => Err(ChildError::new("told to fail")),
                Some(Death::Panic) => panic!("told to panic"),
                Some(Death::Fatal) => Err(ChildError::fatal("poisoned")),
                Some(Death::Return) | None => Ok(()),
            }
        }
    });
    Mortal {
        deaths,
        spec: spec.backoff(exact(Duration::from_secs(1))),
    }
}

pub fn exact(first: Duration) -> RestartBackoff {
    RestartBackoff {
        first,
        jitter: 0.0,
        ..RestartBackoff::default()
    }
}

pub fn state(tree: &Tree, path: &[&str]) -> ChildState {
    tree.status().find(path).unwrap().state
}

/// Lets everything that can run at this moment run.
pub async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

pub fn crashing(starts: &Arc<Mutex<Vec<Instant>>>) -> ChildSpec {
    let starts = Arc::clone(starts);
    ChildSpec::task("crashing", move |_ctx| {
        starts.lock().unwrap().push(Instant::now());
        async { Err(ChildError::new("cannot work")) }
    })
}
