//! What Postgres says, as an error of ours.

use std::fmt;

use crate::{Error, error::Kind};

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use std::error::Error as _;
        use tokio_postgres::{error::SqlState, types::WrongType};
        let Some(database) = error.as_db_error() else {
            if error.source().is_some_and(<dyn std::error::Error>::is::<WrongType>) {
                // Waiting does not make it right.
                return Self::internal(format!("database: {}", cause_of(&error)));
            }
            return database_unavailable(&error);
        };
        let code = database.code();
        if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE {
            return Self::unavailable("DATABASE_SLOW", "the database took too long");
        }
        if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        {
            return Self::new(
                Kind::Aborted,
                "CONFLICT",
                "lost a race for the same rows; try again",
            );
        }
        if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE {
            return Self::new(Kind::Invalid, "INVALID_TEXT", "text must not hold U+0000");
        }
        if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return Self::unavailable("DATABASE_READ_ONLY", "the database does not accept writes");
        }
        // 08 connection, 53 out of resources, 57 operator intervention.
        if ["08", "53", "57"].iter().any(|class| code.code().starts_with(class)) {
            return database_unavailable(database.message());
        }
        Self::internal(format!("database: {} ({})", database.message(), code.code()))
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Timeout(_) => {
                Self::unavailable("DATABASE_BUSY", "no database connection was free in time")
            }
            other => database_unavailable(&other),
        }
    }
}

fn database_unavailable(cause: &(impl fmt::Display + ?Sized)) -> Error {
    Error::unavailable("DATABASE_UNAVAILABLE", "the database is unavailable")
        .because(format!("database: {cause}"))
}

/// The name of the database constraint that an error violates, if it is one.
pub fn constraint(error: &tokio_postgres::Error) -> Option<&str> {
    error.as_db_error().and_then(tokio_postgres::error::DbError::constraint)
}

/// What went wrong underneath: the driver's own message says little.
pub fn cause_of(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[test]
    fn what_was_behind_an_outage_is_for_the_log_alone() {
        let lost = database_unavailable("connection to 10.1.2.3 refused");
        assert!(lost.to_string().contains("10.1.2.3"));
        assert!(!Status::from(lost).message().contains("10.1.2.3"));
    }
}
