//! Records of queues, logs and state, as a damaged disk or another version may leave them.

use smsgw_message::{
    Dispatch, Down, Event, Instruction, InstructionResult, MessageLife, MtMessage, Record, Told, Up,
};
use std::fmt::Debug;
use std::path::Path;

/// The committed records of every kind and version.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gateway/message/tests/fixtures");
    let files = std::fs::read_dir(&fixtures).expect("the fixtures are part of the source");
    files
        .map(|file| {
            let hex =
                std::fs::read_to_string(file.expect("a folder that can be read").path()).expect("hex text");
            let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
            digits
                .chunks_exact(2)
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect()
        })
        .collect()
}

pub(crate) fn run(octets: &[u8]) {
    again::<MtMessage>(octets);
    again::<Dispatch>(octets);
    again::<Up>(octets);
    again::<Down>(octets);
    again::<MessageLife>(octets);
    again::<Told>(octets);
    again::<Event>(octets);
    again::<Instruction>(octets);
    again::<InstructionResult>(octets);
}

fn again<R: Record + Debug + PartialEq>(octets: &[u8]) {
    match R::from_record(octets) {
        Ok(record) => {
            let written = record.to_record();
            let read = R::from_record(&written).expect("what we write, we read");
            assert_eq!(read, record);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
