//! Asks for totals. The only reader of the keys that `reader` writes.

use crate::fold::{Day, What, Who, key};
use smsgw_queue::{Engine, EngineError};

/// The totals of one day, those that are not zero, in the order of [`What::all`].
pub async fn totals(engine: &dyn Engine, day: Day, who: &Who) -> Result<Vec<(What, i64)>, EngineError> {
    let keys = What::all().map(|what| key(day, who, what)).collect();
    let values = engine.get(keys).await?;
    let numbers = values
        .into_iter()
        .map(|value| value.and_then(|value| value.as_counter()).unwrap_or(0));
    Ok(What::all()
        .zip(numbers)
        .filter(|(_, number)| *number != 0)
        .collect())
}
