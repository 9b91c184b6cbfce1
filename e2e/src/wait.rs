//! Waiting for conditions.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(500);

/// Looks until `look` answers, and says what it waited for where that takes longer than `limit`. An
/// error of `look` says what is not so yet; the last one ends in the message.
///
/// # Errors
/// Where `limit` is over.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                let seconds = limit.as_secs();
                return Err(error).with_context(|| format!("not so after {seconds} s: {what}"));
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Looks for as long as `span` and fails with the first look that does.
///
/// # Errors
/// As `look`.
pub async fn throughout(
    what: &str,
    span: Duration,
    mut look: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let end = Instant::now() + span;
    while Instant::now() < end {
        look().await.with_context(|| what.to_owned())?;
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::{bail, ensure};

    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_condition_or_says_what_is_missing() {
        let looks = Cell::new(0);
        let third = until("the third look", Duration::from_secs(60), async || {
            looks.set(looks.get() + 1);
            ensure!(looks.get() == 3, "only {}", looks.get());
            Ok(looks.get())
        });
        assert_eq!(third.await.expect("it comes"), 3);
        let never = until("the moon", Duration::ZERO, async || -> Result<()> {
            bail!("clouds")
        });
        let error = format!("{:#}", never.await.expect_err("it never comes"));
        assert_eq!(error, "not so after 0 s: the moon: clouds");
    }

    #[tokio::test]
    async fn what_must_hold_throughout_fails_at_once() {
        let broken = throughout("peace", Duration::from_secs(60), async || bail!("noise"));
        assert_eq!(
            format!("{:#}", broken.await.expect_err("noise")),
            "peace: noise"
        );
    }
}
