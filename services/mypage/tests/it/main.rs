//! All integration tests of `mypage`: one executable, so that what they stand on is compiled and linked once.

mod mypage;
