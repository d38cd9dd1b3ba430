//! History in PostgreSQL: tables partitioned by the day an id was made in.
//!
//! ```text
//! smsgw_schema (version)                      which migrations were done
//! smsgw_source (number, id, position)         up to where the events log of an engine is in here
//! smsgw_message  PARTITION BY RANGE (id)      smsgw_message_20261121 …
//! smsgw_event    PARTITION BY RANGE (message) smsgw_event_20261121 …
//! ```
//! UUIDs sort by time, so a range of ids is a range of time and the planner visits the partitions it needs. Rows travel as
//! arrays, one statement for each table of a batch, in one transaction with the position.

pub(crate) mod read;
mod tls;
pub(crate) mod write;

use crate::error::{HistoryError, HistoryErrorKind};
use crate::settings::PostgresPlace;
use smsgw_message::MessageId;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tracing::debug;
use uuid::Uuid;

/// How long the server may take to let us in.
const CONNECT: Duration = Duration::from_secs(10);

/// The steps from an empty database to the schema of this program. Released ones are never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE smsgw_source (
        number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id uuid NOT NULL UNIQUE,
        position bigint NOT NULL
    );
    CREATE TABLE smsgw_message (
        id uuid NOT NULL PRIMARY KEY,
        direction text, client text, sender text, recipient text, reference text, class text,
        tags jsonb, encoding text, parts integer, operator text, route bigint,
        state text, error text,
        accepted_at timestamptz, sent_at timestamptz, final_at timestamptz, told_at timestamptz,
        text text,
        words tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED
    ) PARTITION BY RANGE (id);
    CREATE INDEX smsgw_message_client ON smsgw_message (client, id);
    CREATE INDEX smsgw_message_recipient ON smsgw_message (recipient, id);
    CREATE INDEX smsgw_message_sender ON smsgw_message (sender, id);
    CREATE INDEX smsgw_message_reference ON smsgw_message (reference, id) WHERE reference IS NOT NULL;
    CREATE INDEX smsgw_message_words ON smsgw_message USING gin (words) WHERE words IS NOT NULL;
    CREATE TABLE smsgw_event (
        message uuid NOT NULL, source integer NOT NULL, position bigint NOT NULL,
        at timestamptz NOT NULL, name text NOT NULL, part integer, operator text, link text,
        carrier_id text, route bigint, state text, error text,
        PRIMARY KEY (message, source, position)
    ) PARTITION BY RANGE (message);
    CREATE INDEX smsgw_event_carrier_id ON smsgw_event (carrier_id) WHERE name = 'mt_sent';
"];

fn version() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("a few migrations")
}

/// A connection, with the sessions's settings made.
async fn connect(place: &PostgresPlace, statement_timeout: Duration) -> Result<Client, HistoryError> {
    let what = "connect to PostgreSQL";
    let connected = timeout(CONNECT, try_connect(place, statement_timeout)).await;
    connected
        .map_err(|_| HistoryError::new(what, HistoryErrorKind::Late(CONNECT)))?
        .map_err(|kind| HistoryError::new(what, kind))
}

async fn try_connect(place: &PostgresPlace, statement_timeout: Duration) -> Result<Client, HistoryErrorKind> {
    let mut config: Config = place.url.parse()?;
    config.application_name("smsgw");
    config.connect_timeout(CONNECT);
    config.keepalives_idle(Duration::from_secs(30));
    config.tcp_user_timeout(Duration::from_secs(30));
    // TLS is for who asks for it, and then the server must prove who it is: something in between protects nothing.
    let client = match config.get_ssl_mode() {
        SslMode::Require => {
            let (client, connection) = config
                .connect(tls::Maker::try_new(place.ca_file.as_deref())?)
                .await?;
            drive(connection);
            client
        }
        _ => {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await?;
            drive(connection);
            client
        }
    };
    let millis = statement_timeout.as_millis();
    let settings =
        format!("SET statement_timeout = {millis}; SET lock_timeout = {millis}; SET timezone = 'UTC'");
    client.batch_execute(&settings).await?;
    Ok(client)
}

/// The connection's task ends with its client, or with the server.
fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "a connection to PostgreSQL ended");
        }
    });
}

fn uuid(id: MessageId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}
