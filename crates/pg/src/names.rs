//! Names under which the variants of an enum are stored: said once, read and written by what
//! [`names!`](crate::names!) makes of them, and compared with the check constraint of their column.

use std::collections::BTreeSet;

#[doc(hidden)]
pub use base::Error;

use crate::Migrations;

/// Names of an enum's variants in the database. Makes `name` and `named`, and a test that the
/// constraint, of one of the crate's `SERVICE.migrations`, allows these names and no others.
/// What is `written` and never read back has no `named`.
///
/// ```ignore
/// pg::names!(State, constraint coupon_state: New = "NEW", Issued = "ISSUED");
/// pg::names!(Kind, written, constraint ledger_transaction_kind: TopUp = "TOP_UP");
/// ```
#[expect(clippy::crate_in_macro_def, reason = "the migrations are those of the crate that asks")]
#[macro_export]
macro_rules! names {
    ($type:ident, constraint $constraint:ident: $($variant:ident = $name:literal),+ $(,)?) => {
        $crate::names!($type, written, constraint $constraint: $($variant = $name),+);

        impl $type {
            /// A stored one.
            pub(crate) fn named(name: &str) -> Result<Self, $crate::names::Error> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    other => Err($crate::names::Error::internal(format!(
                        concat!(stringify!($constraint), ": {}"),
                        other
                    ))),
                }
            }
        }
    };
    ($type:ident, written, constraint $constraint:ident: $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// As the database has it.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        #[cfg(test)]
        #[test]
        fn $constraint() {
            let allowed =
                $crate::names::allowed(crate::SERVICE.migrations, stringify!($constraint));
            assert_eq!(allowed, [$($name),+].into());
        }
    };
}

/// The names that a constraint allows, by the last of these migrations that has it. For the tests that
/// [`names!`](crate::names!) makes.
///
/// # Panics
/// When no migration has it.
pub fn allowed(migrations: Migrations, constraint: &str) -> BTreeSet<&'static str> {
    let begin = format!("constraint {constraint} check (");
    let mut checks = migrations.iter().rev().filter_map(|(_, text)| text.split_once(&begin));
    let (_, check) = checks.next().unwrap_or_else(|| panic!("no migration has {constraint}"));
    let list = check.split(')').next().unwrap_or_default();
    list.split('\'').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn the_last_migration_that_has_the_constraint_counts() {
        let first = "a text constraint t_a check (a in ('ONE', 'TWO')), b int check (b > 0)";
        let last = "alter table t add constraint t_a check (a in\n  ('ONE', 'THREE'));";
        let migrations = Vec::leak(vec![("V1", first), ("V2", last), ("V3", "select 'x'")]);
        assert_eq!(allowed(migrations, "t_a"), ["ONE", "THREE"].into());
    }
}
