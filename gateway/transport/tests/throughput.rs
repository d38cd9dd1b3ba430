//! Measurements, not laws: what the driver costs, and what batches of events save. Run with
//! `cargo nextest run -p smsgw-transport --run-ignored only --no-capture`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Command, Event, Toy};
use smsgw_transport::{DriveOptions, Listener, drive};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

const COUNT: u64 = 500_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_number_there_and_back_over_loopback() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr()), listener.accept());
    let ours = ours.unwrap();
    ours.set_nodelay(true).unwrap();
    let (say, commands) = mpsc::channel(256);
    let (sent, mut events) = mpsc::channel(16);
    let (unused, no_commands) = mpsc::channel(1);
    let (echoed, mut echoes) = mpsc::channel(16);
    let begin = Instant::now();
    let caller = Toy {
        last: Some(COUNT - 1),
        ..Toy::default()
    };
    let caller = tokio::spawn(drive(caller, ours, commands, sent, DriveOptions::new("caller")));
    let echo = Toy {
        echo: true,
        ..Toy::default()
    };
    let echo = tokio::spawn(drive(
        echo,
        theirs.0,
        no_commands,
        echoed,
        DriveOptions::new("echo"),
    ));
    tokio::spawn(async move { while echoes.recv().await.is_some() {} });
    let talking = tokio::spawn(async move {
        for number in 0..COUNT {
            say.send(Command::Say(number)).await.unwrap();
        }
    });
    let (mut heard, mut batches) = (0, 0_u64);
    while let Some(batch) = events.recv().await {
        batches += 1;
        heard += batch.len();
    }
    let took = begin.elapsed();
    println!("{heard} numbers there and back in {took:?}, {batches} batches");
    assert_eq!(u64::try_from(heard).unwrap(), COUNT);
    talking.await.unwrap();
    caller.await.unwrap();
    drop(unused);
    echo.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn events_one_by_one_against_batches() {
    for size in [1_usize, 8, 64] {
        let (sender, mut receiver) = mpsc::channel::<Vec<Event>>(64);
        let begin = Instant::now();
        let sending = tokio::spawn(async move {
            let mut pending = Vec::new();
            for number in 0..COUNT {
                pending.push(Event::Heard(number));
                if pending.len() == size {
                    sender.send(std::mem::take(&mut pending)).await.unwrap();
                }
            }
            sender.send(pending).await.unwrap();
        });
        let mut got = 0;
        while let Some(batch) = receiver.recv().await {
            got += batch.len();
        }
        sending.await.unwrap();
        println!("batches of {size}: {got} events in {:?}", begin.elapsed());
    }
    let (sender, mut receiver) = mpsc::channel::<Event>(64);
    let begin = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            sender.send(Event::Heard(number)).await.unwrap();
        }
    });
    let mut got = 0;
    while receiver.recv().await.is_some() {
        got += 1;
    }
    sending.await.unwrap();
    println!("one by one: {got} events in {:?}", begin.elapsed());
}
