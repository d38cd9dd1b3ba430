//! `POST /v1/batches`: a body of any length, written as it comes.
//!
//! Memory: one piece of the body, the chunk that is being filled, and chunks that wait for one commit ([`FLUSH`]). Lines
//! that cannot become messages are refused here; what depends on the moment (route, quota, opt-out) is judged by the
//! worker. Invariant: before the last step nothing of the batch is promised, and after a refusal nothing of it is left.

use super::record::{
    Batch, Body, Chunk, Count, End, Entry, LINES, Line, Listed, Refused, Ticket, What, batch_key, body_key,
    chunk_key, list_key,
};
use super::scan::{Fault, Line as Scanned, LineScanner, ObjectScanner};
use super::store::{self, Seen, broken, get, seen};
use super::view;
use crate::http::answer::{Answer, json};
use crate::http::call::{Call, Caller};
use crate::http::idempotency::Key;
use crate::http::messages;
use crate::http::problem::Problem;
use crate::http::{receive, submit};
use crate::metric;
use crate::shared::Shared;
use crate::tables::Tables;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use sha2::{Digest, Sha256};
use smsgw_message::{Address, Class, MessageId, Record, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Engine, Expiry, Lane, Step, StepId};
use smsgw_telemetry::ApiCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Octets of the lines of one chunk, beyond which no line is added.
const CHUNK: usize = 64 * 1024;
/// Chunks of one commit, and their octets: what they hold is all that is in memory, and others wait no longer for it.
const FLUSH: (usize, usize) = (16, 128 * 1024);
/// Longest pause between two commits.
const MOST_PAUSE: Duration = Duration::from_millis(100);
/// Refused lines that the answer shows; all are in the results.
const SHOWN: usize = 100;
/// Uploads of one account at once.
const UPLOADS: usize = 4;
/// Batches that the list of an account has.
const LISTED: usize = 1000;
/// Accepts of batches of one account at one moment that are sorted out before one is told to come again.
const TRIES: usize = 8;
/// Longest piece of a refused recipient that is kept.
const SHOWN_TO: usize = 32;

/// Takes a batch.
pub(crate) async fn create(mut call: Call) -> Result<Answer, Problem> {
    let Some(body) = call.body.take() else {
        return Err(Problem::new(ApiCode::InvalidJson, "the body is missing"));
    };
    let config = &call.tables.snapshot.config;
    let refuse = async |problem: Problem, body: Incoming| {
        receive::discard(&call.head.headers, body, &config.http).await;
        Err(problem)
    };
    let key = match Key::of(&call.head.headers, &call.caller.client) {
        Ok(key) => key,
        Err(problem) => return refuse(problem, body).await,
    };
    let Some(_slot) = call.shared.uploads.take(&call.caller.client, UPLOADS) else {
        let problem = Problem::new(
            ApiCode::RateLimited,
            format!("{UPLOADS} uploads of the account are under way"),
        );
        return refuse(problem.retry_after(Duration::from_secs(2)), body).await;
    };
    let is_known = match &key {
        None => false,
        Some(key) => get(&call.shared, vec![key.state.clone()], call.caller.deadline)
            .await?
            .iter()
            .any(Option::is_some),
    };
    let mut source = Source {
        body,
        digest: Sha256::new(),
        pause: config.http.request_timeout,
        end: Instant::now() + config.http.upload_timeout,
    };
    if let (true, Some(key)) = (is_known, &key) {
        while source.next().await?.is_some() {}
        let key = key.clone().with_digest(source.digest());
        let deadline = Instant::now() + config.http.request_timeout;
        return messages::replay(&call.shared, Some(&key), deadline)
            .await?
            .ok_or_else(|| Problem::overloaded("the idempotency key has just expired"));
    }
    let mut upload = Upload::new(&call.shared, &call.tables, &call.caller);
    let outcome = if is_lines(&call.head.headers) {
        upload.take_lines(&mut source).await.map(|()| None)
    } else {
        upload.take_object(&mut source).await.map(Some)
    };
    let common = match outcome {
        Ok(common) => common,
        Err(problem) => {
            upload.undo().await;
            return refuse(problem, source.body).await;
        }
    };
    let key = key.map(|key| key.with_digest(source.digest()));
    upload.accept(common, key.as_ref()).await
}

/// NDJSON by one of its names.
fn is_lines(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        .iter()
        .any(|name| kind.eq_ignore_ascii_case(name))
}

/// The body as it comes.
struct Source {
    body: Incoming,
    digest: Sha256,
    /// Longest time between two pieces.
    pause: Duration,
    /// When all must be there.
    end: Instant,
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let deadline = self.end.min(Instant::now() + self.pause);
            match timeout_at(deadline, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    // Trailers are of no use here.
                    let Ok(data) = frame.into_data() else { continue };
                    self.digest.update(&data);
                    return Ok(Some(data));
                }
                Ok(Some(Err(_))) => {
                    let why = "the body ended before it was complete";
                    return Err(Problem::new(ApiCode::InvalidJson, why));
                }
                Err(_) => {
                    let why = "the body did not arrive in time";
                    return Err(Problem::new(ApiCode::InvalidJson, why));
                }
            }
        }
    }

    /// Of everything that came.
    fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }
}

/// A batch that is being written.
struct Upload<'a> {
    shared: &'a Arc<Shared>,
    tables: &'a Tables,
    caller: &'a Caller,
    id: MessageId,
    now: Timestamp,
    kept_until: Timestamp,
    chunk: Chunk,
    chunk_octets: usize,
    written: Written,
    steps: Vec<Step>,
    steps_octets: usize,
    total: u32,
    refused: Vec<Count>,
    shown: Vec<view::LineView>,
    /// The first recipient that can be one: the common part is judged with it.
    first: Option<String>,
}

/// Chunks that were written; deleted when nothing comes of them.
struct Written {
    shared: Arc<Shared>,
    id: MessageId,
    chunks: u32,
}

impl Written {
    async fn delete(engine: &dyn Engine, id: MessageId, chunks: u32) {
        let mut n = 0;
        while n < chunks {
            let end = n.saturating_add(100).min(chunks);
            let step = (n..end).fold(
                Step::new(StepId::from_bytes(*id.derive(u64::from(n) | 2 << 40).as_bytes())),
                |step, n| step.delete(chunk_key(id, n), smsgw_queue::Expected::Any),
            );
            if let Err(error) = step.commit(engine).await {
                // They have an expiry: what is left of a refused upload goes with it.
                tracing::warn!(%error, chunks, "chunks of a refused batch stay until they expire");
                return;
            }
            n = end;
        }
    }
}

impl Drop for Written {
    /// The connection broke in the middle of an upload, and nobody waits for its end.
    fn drop(&mut self) {
        let (id, chunks) = (self.id, std::mem::take(&mut self.chunks));
        if chunks > 0 {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { Self::delete(shared.engine.as_ref(), id, chunks).await });
        }
    }
}

impl<'a> Upload<'a> {
    fn new(shared: &'a Arc<Shared>, tables: &'a Tables, caller: &'a Caller) -> Self {
        let limits = &tables.snapshot.config.limits;
        let now = shared.clock.now();
        let id = MessageId::from_parts(now, rand::random());
        Self {
            shared,
            tables,
            caller,
            id,
            now,
            kept_until: now.after(limits.batch_life).after(limits.message_retention),
            chunk: Chunk::default(),
            chunk_octets: 0,
            written: Written {
                shared: Arc::clone(shared),
                id,
                chunks: 0,
            },
            steps: Vec::new(),
            steps_octets: 0,
            total: 0,
            refused: Vec::new(),
            shown: Vec::new(),
            first: None,
        }
    }

    /// One text to many: everything but the recipients.
    async fn take_object(&mut self, source: &mut Source) -> Result<Vec<u8>, Problem> {
        let most = self.tables.snapshot.config.http.body_limit.as_usize();
        let problem = |fault| match fault {
            Fault::Json => Problem::new(
                ApiCode::InvalidJson,
                "the body is not one JSON object whose \"to\" is a list of numbers as text, there once",
            ),
            Fault::Early => Problem::new(ApiCode::InvalidJson, "the body ends too early"),
            Fault::TooLarge => Problem::new(
                ApiCode::BodyTooLarge,
                format!("the body without its recipients has more than {most} octets"),
            ),
        };
        let mut scanner = ObjectScanner::new(most);
        while let Some(data) = source.next().await? {
            // In small pieces: what they are cut into must not pile up, and other requests have their turn in between.
            for piece in data.chunks(16 * 1024) {
                scanner.feed(piece).map_err(problem)?;
                for to in scanner.recipients() {
                    let number = self.count()?;
                    let what = match Address::msisdn(&to) {
                        Ok(_) => {
                            self.first.get_or_insert_with(|| to.clone());
                            What::Pending(to)
                        }
                        Err(_) => refusal(Some(&to), ApiCode::InvalidNumber.as_str(), Some("to")),
                    };
                    self.add(Line { number, what });
                    if self.is_full() {
                        self.flush().await?;
                    }
                }
                tokio::task::yield_now().await;
            }
        }
        scanner.finish().map_err(problem)
    }

    /// One message a line.
    async fn take_lines(&mut self, source: &mut Source) -> Result<(), Problem> {
        let most = self.tables.snapshot.config.http.body_limit.as_usize();
        let mut scanner = LineScanner::new(most);
        let mut is_open = true;
        while is_open {
            let data = source.next().await?;
            is_open = data.is_some();
            for piece in data.unwrap_or_default().chunks(16 * 1024) {
                scanner.feed(piece);
                self.add_lines(&mut scanner).await?;
            }
        }
        scanner.finish();
        self.add_lines(&mut scanner).await?;
        if self.total == 0 {
            return Err(Problem::new(ApiCode::InvalidJson, "the body holds no message"));
        }
        Ok(())
    }

    async fn add_lines(&mut self, scanner: &mut LineScanner) -> Result<(), Problem> {
        for (number, line) in scanner.lines() {
            self.count()?;
            let what = match line {
                Scanned::TooLong => refusal(None, ApiCode::BodyTooLarge.as_str(), None),
                Scanned::Whole(octets) => self.judge(octets),
            };
            self.add(Line { number, what });
            if self.is_full() {
                self.flush().await?;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Whether a line can become a message.
    fn judge(&self, octets: Vec<u8>) -> What {
        let config = &self.tables.snapshot.config;
        let body = match submit::parse(&octets) {
            Ok(body) => body,
            Err(problem) => return refusal(None, problem.code.as_str(), problem.field),
        };
        match submit::build(&body, &self.caller.client, config, self.id, self.now, 0) {
            Ok(_) => String::from_utf8(octets).map_or_else(
                |_| refusal(body.to.as_deref(), ApiCode::InvalidJson.as_str(), None),
                What::Pending,
            ),
            Err(problem) => refusal(body.to.as_deref(), problem.code.as_str(), problem.field),
        }
    }

    fn count(&mut self) -> Result<u32, Problem> {
        let most = self.tables.snapshot.config.limits.batch_max;
        if self.total >= most {
            let why = format!("a batch has at most {most} recipients");
            return Err(Problem::new(ApiCode::BodyTooLarge, why));
        }
        self.total = self.total.saturating_add(1);
        Ok(self.total)
    }

    fn add(&mut self, line: Line) {
        let octets = match &line.what {
            What::Pending(text) | What::Accepted(text, _) => text.len(),
            What::Refused(refused) => {
                Batch::refuse(&mut self.refused, &refused.code);
                if self.shown.len() < SHOWN {
                    self.shown.push(view::LineView::of(&line, view::PENDING));
                }
                SHOWN_TO
            }
        };
        self.chunk.lines.push(line);
        self.chunk_octets = self.chunk_octets.saturating_add(octets);
        if self.chunk.lines.len() >= LINES || self.chunk_octets >= CHUNK {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        if self.chunk.lines.is_empty() {
            return;
        }
        let n = self.written.chunks;
        let record = std::mem::take(&mut self.chunk).to_record();
        self.chunk_octets = 0;
        self.steps_octets = self.steps_octets.saturating_add(record.len());
        let id = StepId::from_bytes(*self.id.derive(u64::from(n) | 1 << 40).as_bytes());
        let step = Step::new(id).put(chunk_key(self.id, n), record, Expiry::At(self.kept_until));
        self.steps.push(step);
        self.written.chunks = n.saturating_add(1);
    }

    fn is_full(&self) -> bool {
        self.steps.len() >= FLUSH.0 || self.steps_octets >= FLUSH.1
    }

    /// Makes the chunks durable that are in memory.
    async fn flush(&mut self) -> Result<(), Problem> {
        let config = &self.tables.snapshot.config;
        let _place = self
            .shared
            .place(config.http.max_in_flight)
            .ok_or_else(messages::too_many_requests)?;
        self.steps_octets = 0;
        let steps = std::mem::take(&mut self.steps);
        let deadline = Instant::now() + config.http.request_timeout;
        let started = Instant::now();
        let answers = timeout_at(deadline, self.shared.engine.commit(steps))
            .await
            .map_err(|_| Problem::overloaded("the gateway could not store the batch in time"))?;
        // Half of the engine's time is for everybody else.
        tokio::time::sleep(started.elapsed().min(MOST_PAUSE)).await;
        answers
            .into_iter()
            .try_for_each(|answer| answer.map(drop).map_err(|error| store::refused(&error.kind)))
    }

    /// Nothing comes of it.
    async fn undo(mut self) {
        let chunks = std::mem::take(&mut self.written.chunks);
        Written::delete(self.shared.engine.as_ref(), self.id, chunks).await;
    }

    /// The last step: from here on it is a batch.
    async fn accept(mut self, common: Option<Vec<u8>>, key: Option<&Key>) -> Result<Answer, Problem> {
        let outcome = self.finish(common, key).await;
        if outcome.is_err() {
            // Where the engine did not answer in time, `finish` has given the chunks away already.
            self.undo().await;
        }
        outcome
    }

    async fn finish(&mut self, common: Option<Vec<u8>>, key: Option<&Key>) -> Result<Answer, Problem> {
        self.end_chunk();
        self.flush().await?;
        let config = &self.tables.snapshot.config;
        let (class, reference) = match &common {
            None => (
                config
                    .client
                    .get(&self.caller.client)
                    .map_or(Class::Bulk, |account| account.class),
                None,
            ),
            Some(common) => self.judge_common(common)?,
        };
        let limits = &config.limits;
        let digest: Option<[u8; 32]> = common.as_ref().map(|common| Sha256::digest(common).into());
        let mut batch = Batch {
            id: self.id,
            client: self.caller.client.clone(),
            created_at: self.now,
            until: self.now.after(limits.batch_life),
            kept_until: self.kept_until,
            body: digest.map(Into::into),
            class,
            total: self.total,
            chunks: self.written.chunks,
            chunk: 0,
            within: 0,
            accepted: 0,
            refused: std::mem::take(&mut self.refused),
            end: None,
            ended_at: None,
            reference,
        };
        if batch.pending() == 0 {
            batch.end = Some(End::Completed);
            batch.ended_at = Some(self.now);
        }
        let view = view::BatchView::of(&batch, None, self.now, std::mem::take(&mut self.shown));
        let answer = serde_json::to_vec(&view).expect("a struct of strings and numbers is valid JSON");
        let location = format!("/v1/batches/{}", self.id);
        let deadline = Instant::now() + config.http.request_timeout;
        for _ in 0..TRIES {
            let step = self.step(&batch, common.as_deref(), deadline).await?;
            let step = match key {
                None => step,
                Some(key) => {
                    let until = self.kept_until.max(self.now.after(limits.idempotency));
                    key.remember(step, &answer, &location, until)
                }
            };
            // Should the answer be late, the batch may run: its chunks are not ours to delete any more.
            let chunks = std::mem::take(&mut self.written.chunks);
            let committed = timeout_at(deadline, step.commit(self.shared.engine.as_ref()))
                .await
                .map_err(|_| {
                    Problem::overloaded(
                        "the gateway could not confirm the batch in time; it may still be sent",
                    )
                })?;
            let Err(error) = committed else {
                metric::BATCHES_TOTAL
                    .with(&[self.caller.client.as_str(), "accepted"])
                    .inc();
                tracing::info!(batch_id = %self.id, client = %self.caller.client, lines = self.total, "batch accepted");
                return Ok(accepted(answer, &location));
            };
            self.written.chunks = chunks;
            let CommitErrorKind::Conflict { key: taken } = &error.kind else {
                return Err(store::refused(&error.kind));
            };
            if let Some(key) = key.filter(|key| key.state == *taken) {
                // A request with the same key was faster: its answer is ours, and these chunks go.
                let replayed = messages::replay(self.shared, Some(key), deadline).await?;
                let chunks = std::mem::take(&mut self.written.chunks);
                Written::delete(self.shared.engine.as_ref(), self.id, chunks).await;
                return replayed.ok_or_else(|| Problem::overloaded("the idempotency key has just expired"));
            }
        }
        Err(Problem::overloaded(
            "several batches of the account were accepted at once",
        ))
    }

    /// What stands beside the recipients, judged as a message to the first of them.
    fn judge_common(&self, common: &[u8]) -> Result<(Class, Option<String>), Problem> {
        let config = &self.tables.snapshot.config;
        let mut body = submit::parse(common)?;
        let invalid = |why: &str| Problem::field(ApiCode::InvalidField, "to", why);
        if body.to.is_some() || self.total == 0 {
            return Err(invalid("is a list of at least one number"));
        }
        // Where no recipient is one, the rest is judged all the same.
        body.to = Some(self.first.clone().unwrap_or_else(|| "12345".to_owned()));
        let message = submit::build(&body, &self.caller.client, config, self.id, self.now, 0)?.message;
        Ok((message.class, message.reference))
    }

    async fn step(&self, batch: &Batch, common: Option<&[u8]>, deadline: Instant) -> Result<Step, Problem> {
        let list = list_key(&batch.client);
        let mut keys = vec![list.clone()];
        keys.extend(batch.body.as_ref().map(|digest| body_key(digest)));
        let mut found = get(self.shared, keys, deadline).await?.into_iter();
        let there: Seen<Listed> = seen(found.next().flatten()).map_err(|error| broken(&error))?;
        let mut listed = there.record.unwrap_or_default();
        listed.batches.retain(|entry| entry.kept_until > self.now);
        let too_many = listed.batches.len().saturating_sub(LISTED - 1);
        listed.batches.drain(..too_many);
        listed.batches.push(Entry {
            id: batch.id,
            kept_until: batch.kept_until,
        });
        let last = listed.batches.iter().map(|entry| entry.kept_until).max();
        let mut step = Step::new(StepId::accept(batch.id))
            .compare_and_put(
                batch_key(&batch.client, batch.id),
                smsgw_queue::Expected::Absent,
                batch.to_record(),
                Expiry::At(batch.kept_until),
            )
            .compare_and_put(
                list,
                there.expected,
                listed.to_record(),
                Expiry::At(last.unwrap_or(batch.kept_until)),
            );
        if let (Some(digest), Some(common)) = (&batch.body, common) {
            let there: Seen<Body> = seen(found.next().flatten()).map_err(|error| broken(&error))?;
            let known = there.record.map(|body| body.kept_until);
            // Kept for the last batch that refers to it: an expiry is only ever moved on.
            if known.is_none_or(|until| until < batch.kept_until) {
                let body = Body {
                    json: common.to_vec().into(),
                    kept_until: batch.kept_until,
                };
                step = step.compare_and_put(
                    body_key(digest),
                    there.expected,
                    body.to_record(),
                    Expiry::At(batch.kept_until),
                );
            }
        }
        if batch.end.is_none() {
            let ticket = Ticket {
                client: batch.client.clone(),
                batch: batch.id,
                generation: 0,
            };
            let lane = Lane::new(batch.class, &batch.client);
            step = step.publish(names::MT_BATCH, lane, ticket.to_record());
        }
        Ok(step)
    }
}

fn refusal(to: Option<&str>, code: &str, field: Option<&str>) -> What {
    What::Refused(Refused {
        to: to.map(|to| to.chars().take(SHOWN_TO).collect()),
        code: code.to_owned(),
        field: field.map(str::to_owned),
    })
}

fn accepted(answer: Vec<u8>, location: &str) -> Answer {
    let mut response = json(StatusCode::ACCEPTED, answer);
    let location = HeaderValue::try_from(location).expect("a UUID is valid in a header");
    response.headers_mut().insert(LOCATION, location);
    response
}
