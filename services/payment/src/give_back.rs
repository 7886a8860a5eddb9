//! Giving a card its money back: the acquirer is asked until it has done so, or somebody has settled it by
//! hand.
//!
//! | call to the acquirer | then |
//! |---|---|
//! | refunded | REFUNDED |
//! | refused | FAILED: an operator is told; asked again after six hours |
//! | unknown | REFUNDING stays; asked again soon |

use std::time::Duration;

use base::Error;
use pg::{Database, task::Outcome};

use crate::{
    acquirer::{Acquirer, Refunded},
    store::{self, Owed},
};

/// How soon a refund is asked for again that was refused.
const REFUSED: Duration = Duration::from_hours(6);

/// Gives cards their money back.
pub(crate) struct GiveBack {
    pub(crate) database: Database,
    pub(crate) acquirer: Acquirer,
}

impl GiveBack {
    /// Asks for what is owed. That it is asked for is committed before, so that nobody settles it by hand
    /// meanwhile.
    pub(crate) async fn run(&self, owed: Owed) -> Result<Outcome, Error> {
        let mut tx = self.database.begin().await?;
        let asked = store::ask_refund(&mut tx, owed).await?;
        tx.commit().await?;
        let Some(asked) = asked else { return Ok(Outcome::Done) };
        let said = match &asked.part {
            Some(part) => self.acquirer.refund_part(asked.charge, part).await?,
            None => self.acquirer.refund(asked.charge).await?,
        };
        let mut tx = self.database.begin().await?;
        store::refund_answered(&mut tx, &asked, &said).await?;
        tx.commit().await?;
        let Refunded::Refused(code) = said else { return Ok(Outcome::Done) };
        tracing::error!(
            charge = %asked.charge, code,
            "refund refused by the acquirer, an operator has to decide; asking again in six hours"
        );
        Ok(Outcome::Again(REFUSED))
    }
}
