//! What the driver and listeners with TLS count. The labels `role` and `listener` are fixed words of the caller, such as `link`
//! or `http`.

use smsgw_telemetry::Counter;

/// Bytes carried, by role and direction (`in`, `out`).
/// A rise is traffic; a fall to zero while sessions are up means silence on the line.
pub static BYTES_TOTAL: Counter = Counter::new(
    "smsgw_transport_bytes_total",
    "Bytes carried, by role and direction.",
    &["role", "direction"],
);

/// Times reading from a socket stopped because the owner of the session did not take its events, by role.
/// A steady rise means the owner (queue, disk) is slower than the peer: the peer sees a full TCP window.
pub static EVENTS_STALLED_TOTAL: Counter = Counter::new(
    "smsgw_transport_events_stalled_total",
    "Times reading stopped because the session's owner was behind, by role.",
    &["role"],
);

/// Sessions ended because the peer took no bytes for too long, by role.
/// A rise means peers hang without closing, or a firewall drops their packets.
pub static WRITE_STALLS_TOTAL: Counter = Counter::new(
    "smsgw_transport_write_stalls_total",
    "Sessions ended because the peer took no bytes for too long, by role.",
    &["role"],
);

/// Certificates that were found changed, by listener and whether they are `used` or `refused`. A rise of `refused`: the files
/// are broken or do not belong together, and the certificate before will run out.
pub static CERTIFICATES_TOTAL: Counter = Counter::new(
    "smsgw_tls_certificates_total",
    "Certificates of listeners exchanged while running.",
    &["listener", "outcome"],
);
