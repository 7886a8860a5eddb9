//! Certificates of authorities that a test has to itself, made by openssl.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const AUTHORITIES: &str = "
for ca in ca other; do
  openssl req -x509 $key -keyout $ca.key -out $ca.pem -subj /CN=$ca
done
";

/// One of `$ca`, called `$name`, for `$host`.
const CERTIFICATE: &str = r"
openssl req $key -keyout new.key -out new.csr -subj /CN=$name
printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:%s\n' $host >extensions
openssl x509 -req -in new.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days 2 -out new.pem \
  -extfile extensions
mv new.key $name.key
mv new.pem $name.pem
";

/// A directory with two authorities, `ca` and `other`, and certificates of `ca`: `server`, which is
/// for `localhost`, and `client`; of each the `.pem` and the `.key`.
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes them.
    ///
    /// # Panics
    /// When there is no openssl.
    pub fn make() -> Self {
        let made = Self(tempfile::tempdir().expect("a directory"));
        made.run(AUTHORITIES, &[]);
        made.issue("ca", "server", "localhost");
        made.issue("ca", "client", "client");
        made
    }

    /// Issues a certificate with a new key, in place of one of that name.
    ///
    /// # Panics
    /// When there is no openssl.
    pub fn issue(&self, ca: &str, name: &str, host: &str) {
        self.run(CERTIFICATE, &[("ca", ca), ("name", name), ("host", host)]);
    }

    /// Where one of the files is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Where they all are.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, script: &str, variables: &[(&str, &str)]) {
        let made = Command::new("sh")
            .args(["-ec", script])
            .env("key", "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2")
            .envs(variables.iter().copied())
            .current_dir(self.dir())
            .output()
            .expect("sh starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
