//! Writing a directory file into the directory.
//!
//! Apart from reading it because nothing here can be wrong with the file any more, only with the
//! store or the machine. A second import of the same file writes nothing: what is stored already
//! stays as it is, down to the salt of a password's hash. What commands have done to revoke is
//! kept, or an import would bring revoked tokens and rotated secrets back. A password or an account's
//! key that is replaced takes along what was got with it, as in KAZOO
//! (`reset_identity_secret_on_rehash`).

use std::sync::Arc;

use md5::Md5;
use sha1::Sha1;
use tokio::task::JoinSet;

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::directory::file::entries::{AccountEntry, KeyEntry, UserEntry};
use crate::directory::file::{DirectoryFile, Existing, Forms, Imported};
use crate::directory::names::user_hash;
use crate::directory::pepper::Digest;
use crate::directory::records::{Account, ApiKey, User};
use crate::directory::writing::{Record, Written};
use crate::directory::{Directory, Index};
use crate::proof::check_phc;

/// How many users are prepared at once for each thread that hashes: one is being hashed while
/// another is written, and most of the prover's queue stays free for requests.
const AHEAD_PER_CORE: usize = 2;

/// How many records are written at once where nothing is to be hashed: enough to hide the way to a
/// store on another machine.
const AHEAD: usize = 32;

impl DirectoryFile {
    /// Writes every record: platform by platform, and of each the accounts, then users, then API
    /// keys. `forms` tells in which forms a platform's passwords are to be stored. Where only the
    /// digest of a hash is asked for, a user without an account gets none. `progress` is told what
    /// it has come to, at each record that is done.
    ///
    /// # Errors
    /// A fault when the store does not answer; what was written until then stays, and the same
    /// import can be run again.
    pub async fn import(
        self,
        directory: &Directory,
        existing: Existing,
        forms: impl Fn(&str) -> Forms,
        progress: impl Fn(Imported) + Send + Sync,
    ) -> Result<Imported, Fault> {
        let mut import = Import {
            imported: Imported::default(),
            progress,
        };
        for entries in self.platforms {
            let to = Target {
                directory: directory.clone(),
                forms: forms(&entries.platform),
                platform: entries.platform.into(),
                existing,
            };
            let hashes = to.forms.argon2 && entries.users.iter().any(|it| it.password.is_some());
            let users_ahead = if hashes {
                AHEAD_PER_CORE * directory.prover().cores()
            } else {
                AHEAD
            };
            let account = |it| write_account(to.clone(), it);
            import.write(entries.accounts, AHEAD, account).await?;
            let user = |it| write_user(to.clone(), it);
            import.write(entries.users, users_ahead, user).await?;
            let key = |it| write_api_key(to.clone(), it);
            import.write(entries.api_keys, AHEAD, key).await?;
        }
        Ok(import.imported)
    }
}

/// An import under way.
struct Import<P> {
    imported: Imported,
    progress: P,
}

impl<P: Fn(Imported)> Import<P> {
    /// Writes the entries of one list, `ahead` of them at once.
    async fn write<E, F>(
        &mut self,
        entries: Vec<E>,
        ahead: usize,
        write: impl Fn(E) -> F,
    ) -> Result<(), Fault>
    where
        F: Future<Output = Result<Written, Fault>> + Send + 'static,
    {
        let mut waiting = entries.into_iter();
        let mut begun = Begun(JoinSet::new());
        loop {
            let free = ahead.saturating_sub(begun.0.len());
            for entry in waiting.by_ref().take(free) {
                begun.0.spawn(write(entry));
            }
            let Some(done) = begun.0.join_next().await else {
                return Ok(());
            };
            let aborted = |_| Fault::new(Dependency::Internal, "writing a record was aborted");
            self.imported.count(done.map_err(aborted)??);
            (self.progress)(self.imported);
        }
    }
}

/// Records that are being written. Where the import is dropped or fails they are written to the end,
/// so that none is left half.
struct Begun(JoinSet<Result<Written, Fault>>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

/// Where entries are written, and how.
#[derive(Clone)]
struct Target {
    directory: Directory,
    platform: Arc<str>,
    forms: Forms,
    existing: Existing,
}

impl Target {
    /// Writes what `merge` makes of the stored record, or of an empty one.
    async fn write<R: Record + Default>(
        &self,
        id: &str,
        merge: impl Fn(R) -> R + Send + Sync,
    ) -> Result<Written, Fault> {
        let change = |old: Option<R>| {
            Ok::<_, Fault>(match (old, self.existing) {
                (Some(old), Existing::Keep) => old,
                (old, _) => merge(old.unwrap_or_default()),
            })
        };
        let updated = self.directory.update(&self.platform, id, change).await?;
        Ok(updated.written)
    }
}

async fn write_account(to: Target, entry: AccountEntry) -> Result<Written, Fault> {
    let digests = |key: &Secret| {
        let values = [key.expose()];
        to.directory
            .digests(&to.platform, Index::AccountKey, &values)
    };
    let brought = entry.api_key.as_ref().map(digests).unwrap_or_default();
    let merge = |old: Account| {
        let replaced = differs(old.api_key.as_ref(), &brought) == Some(true);
        Account {
            api_key: brought.first().cloned().or(old.api_key),
            generation: old.generation.saturating_add(replaced.into()),
            ..entry.record.clone()
        }
    };
    to.write(&entry.record.id, merge).await
}

async fn write_user(to: Target, entry: UserEntry) -> Result<Written, Fault> {
    let (forms, keeps_password) = (to.forms, entry.keeps_password);
    let (made, brought) = prepare(&to, entry).await?;
    let merge = |old: User| {
        let was = (to.existing == Existing::KeepButForms && old.id == made.id).then(|| old.clone());
        let mut user = made.clone();
        let replaced = brought.replaces(&old);
        user.generation = old.generation.saturating_add(replaced.into());
        // A hash of `username:password` does not outlive the name, and is found by the account.
        let same = (old.login(), &old.account) == (user.login(), &user.account);
        if keeps_password {
            user.password = old.password.filter(|_| forms.argon2);
            user.md5 = old.md5.filter(|_| forms.md5 && same);
            user.sha1 = old.sha1.filter(|_| forms.sha1 && same);
            user.ha1b = user.ha1b.or(old.ha1b.filter(|_| forms.ha1b));
        }
        user.totp = user.totp.or(old.totp);
        match was {
            // It has another password by now, of which nothing is known here.
            Some(was) if brought.differs(&was) == Some(true) => was,
            Some(was) => User {
                password: user.password,
                ha1b: user.ha1b,
                md5: user.md5,
                sha1: user.sha1,
                ..was
            },
            None => user,
        }
    };
    to.write(&made.id, merge).await
}

/// What a row brings of a password, also in forms that are not to be stored. Digests are under each
/// pepper, newest first: one that is stored may be older than the newest.
struct Brought {
    /// Nothing but of SIP, if anything.
    keeps_password: bool,
    argon2: Option<String>,
    ha1b: Vec<Digest>,
    md5: Vec<Digest>,
    sha1: Vec<Digest>,
}

impl Brought {
    /// Tells whether the password is another than the stored one. Where both are there and in no
    /// form alike, it counts as another.
    fn replaces(&self, old: &User) -> bool {
        let had = old.password.is_some() || !old.digests().is_empty();
        let differs = self.differs(old);
        differs.unwrap_or(had && !self.keeps_password)
    }

    /// The same; `None` where they are in no form alike.
    fn differs(&self, old: &User) -> Option<bool> {
        let hashes = old.password.as_ref().zip(self.argon2.as_ref());
        let compared = [
            hashes.map(|(old, new)| old != new),
            differs(old.ha1b.as_ref(), &self.ha1b),
            differs(old.md5.as_ref(), &self.md5),
            differs(old.sha1.as_ref(), &self.sha1),
        ];
        compared.into_iter().flatten().reduce(|a, b| a | b)
    }
}

/// Tells whether a stored digest is of something else than was brought; `None` where one is missing.
fn differs(old: Option<&Digest>, brought: &[Digest]) -> Option<bool> {
    let old = old.filter(|_| !brought.is_empty())?;
    Some(!brought.iter().any(|it| it.matches(old)))
}

async fn write_api_key(to: Target, entry: KeyEntry) -> Result<Written, Fault> {
    let digest = |it: &Secret| {
        let values = [it.expose()];
        to.directory.digests(&to.platform, Index::ApiKey, &values)
    };
    let digests = entry.secret.as_ref().map(digest).unwrap_or_default();
    // Before the write: of what is revoked meanwhile, nothing is brought back.
    let present = to.directory.key_generations(&to.platform, &entry.record);
    let present = present.await?;
    let merge = |old: ApiKey| {
        let brings = |it: &Digest| digests.iter().any(|digest| digest.matches(it));
        // A file that is older than a rotation does not undo it.
        let stays = old.revoked || old.former.iter().any(|it| brings(&it.secret));
        let brought = digests.first().filter(|_| !stays).cloned();
        // The same secret of the same user stays as revoked as it is.
        let same = brought.is_none() || old.secret.as_ref().is_some_and(brings);
        let same = same && old.user == entry.record.user;
        ApiKey {
            generations: if same { old.generations } else { present },
            secret: brought.or(old.secret),
            former: old.former,
            revoked: old.revoked,
            ..entry.record.clone()
        }
    };
    to.write(&entry.record.id, merge).await
}

/// Makes the stored forms of a user's password, and no other than those asked for, and seals the
/// seed of its second factor. Gives also what the password is compared by.
async fn prepare(to: &Target, entry: UserEntry) -> Result<(User, Brought), Fault> {
    let (directory, forms) = (&to.directory, to.forms);
    let mut user = entry.record;
    let hashes = forms.argon2 && entry.password.is_some();
    let old = match hashes || entry.totp.is_some() {
        true => directory.user(&to.platform, &user.id).await?,
        false => None,
    };
    let (old_password, old_totp) = old.map(|it| (it.password, it.totp)).unwrap_or_default();
    let seal = |it: &Secret| directory.sealed_totp(&to.platform, &user.id, it, old_totp);
    user.totp = entry.totp.as_ref().map(seal).transpose()?;
    let (mut argon2, mut md5, mut sha1) = (entry.argon2, entry.md5, entry.sha1);
    if let Some(password) = &entry.password {
        let login = user.login().unwrap_or_default();
        md5 = Some(user_hash::<Md5>(login, password));
        sha1 = Some(user_hash::<Sha1>(login, password));
        if forms.argon2 {
            argon2 = Some(password_hash(directory, password, old_password).await?);
        }
    }
    // Exactly what the `basic` scheme looks up: the account's id and the hash behind it.
    let of_account = |index, hash: Option<Secret>| match (user.account.as_deref(), hash) {
        (Some(account), Some(hash)) => {
            let values = [account.as_bytes(), hash.expose()];
            directory.digests(&to.platform, index, &values)
        }
        _ => Vec::new(),
    };
    let ha1b = |it: Secret| directory.digests(&to.platform, Index::Ha1b, &[it.expose()]);
    let brought = Brought {
        keeps_password: entry.keeps_password,
        ha1b: entry.ha1b.map(ha1b).unwrap_or_default(),
        md5: of_account(Index::Md5, md5),
        sha1: of_account(Index::Sha1, sha1),
        argon2,
    };
    let stored = |form: bool, digests: &[Digest]| digests.first().filter(|_| form).cloned();
    user.password = brought.argon2.clone().filter(|_| forms.argon2);
    user.ha1b = stored(forms.ha1b, &brought.ha1b);
    user.md5 = stored(forms.md5, &brought.md5);
    user.sha1 = stored(forms.sha1, &brought.sha1);
    Ok((user, brought))
}

/// Keeps the stored hash of the same password, whose salt differs with every hashing.
async fn password_hash(
    directory: &Directory,
    password: &Secret,
    old: Option<String>,
) -> Result<String, Fault> {
    let prover = directory.prover();
    if let Some(old) = old.filter(|it| check_phc(it).is_ok())
        && prover.password_in_turn(password, &old).await?
    {
        return Ok(old);
    }
    prover.hash_password(password).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::clock::Clock;
    use crate::credential::Fingerprinter;
    use crate::directory::pepper::Peppers;
    use crate::directory::reads::Reads;
    use crate::document::Document;
    use crate::proof::Prover;
    use crate::store::embedded::Embedded;

    use super::*;

    const SAMPLE: &str = include_str!("../../cli/sample_directory.yaml");
    const ACME: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
    const JOHN_MD5: &str = "82a2dc91686ec828a67152d45a5c5ef7";
    const JOHN_SHA1: &str = "055cf886cb9b5c5867083463867c527ace0f8ecc";

    fn directory() -> Directory {
        let store = Embedded::memory(Clock::system()).unwrap();
        let prover = Prover::new(Fingerprinter::random().unwrap(), 100, 2).unwrap();
        let peppers = Peppers::ephemeral().unwrap();
        Directory::new(Arc::new(store), peppers, prover, Clock::system())
    }

    fn file(text: &str) -> DirectoryFile {
        let document = Document::parse("d.yaml", text).unwrap();
        DirectoryFile::parse(&document, &["crossbar", "opentact", "infobip"]).unwrap()
    }

    fn forms(platform: &str) -> Forms {
        Forms {
            argon2: platform != "crossbar",
            ha1b: platform == "opentact",
            md5: platform == "crossbar",
            sha1: false,
        }
    }

    async fn import(directory: &Directory, text: &str) -> usize {
        let imported = file(text).import(directory, Existing::Replace, forms, |_| ());
        let imported = imported.await.unwrap();
        imported.created + imported.changed
    }

    async fn by_hash(directory: &Directory, index: Index, hash: &str) -> Vec<String> {
        let values = [ACME.as_bytes(), hash.as_bytes()];
        let reads = Reads::begin(directory, "crossbar");
        let users = reads.users(index, &values).await.unwrap();
        users.into_iter().map(|it| it.id).collect()
    }

    async fn by_login(directory: &Directory, platform: &str, name: &str) -> Vec<User> {
        let reads = Reads::begin(directory, platform);
        let found = reads.users(Index::Login, &[name.as_bytes()]).await;
        found.unwrap()
    }

    async fn key(directory: &Directory, platform: &str, secret: &str) -> Option<ApiKey> {
        let reads = Reads::begin(directory, platform);
        let found = reads.api_key(&Secret::new(secret.as_bytes())).await;
        found.unwrap()
    }

    async fn everything(directory: &Directory) -> Vec<(String, String)> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = directory.store().scan("", cursor).await.unwrap();
            let values = directory.store().get(&page.keys).await.unwrap();
            let values = values.into_iter().map(|it| it.unwrap());
            let values = values.map(|it| String::from_utf8(it.to_vec()).unwrap());
            all.extend(page.keys.into_iter().zip(values));
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn what_was_imported_is_found_as_schemes_look_for_it() {
        let directory = directory();
        assert_eq!(import(&directory, SAMPLE).await, 23);

        let john = "8e248327b85591955749e53ea45b6baa";
        assert_eq!(by_hash(&directory, Index::Md5, JOHN_MD5).await, [john]);
        let account = directory.account("crossbar", ACME).await.unwrap().unwrap();
        assert_eq!(account.name.as_deref(), Some("ACME, Inc. (sample)"));
        assert!(account.api_key.is_some() && !account.disabled);
        let api_key = "0123456789abcdef".repeat(4);
        assert_eq!(key(&directory, "crossbar", &api_key).await, None);

        let users = by_login(&directory, "opentact", "OpenTact@Callify.io").await;
        let phc = users[0].password.as_deref();
        let password = Secret::new(*b"12345678");
        assert!(directory.prover().password(&password, phc).await.unwrap());
        assert_eq!(
            by_login(&directory, "infobip", "Aladdin").await[0].id,
            "u-1"
        );
        assert!(by_login(&directory, "infobip", "aladdin").await.is_empty());
        assert!(by_login(&directory, "opentact", "Aladdin").await.is_empty());

        let linked = by_login(&directory, "opentact", "info@example.org").await;
        assert_eq!(linked[0].links[0].issuer, "google");
        let expired = key(&directory, "infobip", "sample-expired-0000000000000000").await;
        let expired = expired.unwrap();
        assert_eq!(expired.valid_from, Some(1_546_300_800));
        assert_eq!(expired.valid_to, Some(1_577_836_800));
        let inside = key(&directory, "infobip", "sample-inside-00000000000000000").await;
        assert_eq!(
            inside.unwrap().allowed_addresses,
            ["10.0.0.0/8".parse().unwrap()]
        );
        let off = key(&directory, "infobip", "sample-disabled-000000000000000").await;
        assert!(off.unwrap().disabled);
    }

    #[tokio::test]
    async fn only_the_forms_asked_for_are_stored() {
        let cases = [
            Forms::default(),
            Forms {
                argon2: true,
                ..Forms::default()
            },
            Forms {
                md5: true,
                ..Forms::default()
            },
            Forms {
                sha1: true,
                ..Forms::default()
            },
        ];
        let text = format!(
            "crossbar: {{ users: [\
             {{ id: plain, account: {ACME}, username: John@Example.com, password: m32c6NfqYEt }},\
             {{ id: brought, account: {ACME}, username: b, credentials: {{ md5: '{}', sha1: '{}', \
             argon2: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc' }} }}] }}",
            "AB".repeat(16),
            "AB".repeat(20),
        );
        for forms in cases {
            let directory = directory();
            let imported = file(&text).import(&directory, Existing::Replace, |_| forms, |_| ());
            imported.await.unwrap();
            for id in ["plain", "brought"] {
                let user = directory.user("crossbar", id).await.unwrap().unwrap();
                assert_eq!(user.password.is_some(), forms.argon2, "{id} {forms:?}");
                assert_eq!(user.md5.is_some(), forms.md5, "{id} {forms:?}");
                assert_eq!(user.sha1.is_some(), forms.sha1, "{id} {forms:?}");
            }
            let found = by_hash(&directory, Index::Md5, JOHN_MD5).await;
            assert_eq!(found.len(), usize::from(forms.md5), "{forms:?}");
            let found = by_hash(&directory, Index::Sha1, JOHN_SHA1).await;
            assert_eq!(found.len(), usize::from(forms.sha1), "{forms:?}");
            let found = by_hash(&directory, Index::Md5, &"ab".repeat(16)).await;
            assert_eq!(found.len(), usize::from(forms.md5), "{forms:?}");
        }
    }

    #[tokio::test]
    async fn a_second_import_writes_nothing() {
        let directory = directory();
        import(&directory, SAMPLE).await;
        let writes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&writes);
        directory.store().watch(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(import(&directory, SAMPLE).await, 0);
        assert_eq!(writes.load(Ordering::Relaxed), 0);
        let changed = SAMPLE.replace("openSesame", "closeSesame");
        assert_eq!(import(&directory, &changed).await, 1);
        assert_eq!(writes.load(Ordering::Relaxed), 1);
        let renamed = changed.replace("username: Aladdin", "username: Ali");
        assert_eq!(import(&directory, &renamed).await, 1);
        assert!(by_login(&directory, "infobip", "Aladdin").await.is_empty());
        assert_eq!(by_login(&directory, "infobip", "Ali").await[0].id, "u-1");
    }

    #[tokio::test]
    async fn an_import_brings_no_revoked_token_back() {
        let directory = directory();
        import(&directory, SAMPLE).await;
        let mut user = directory.user("infobip", "u-1").await.unwrap().unwrap();
        let mut account = directory
            .account("infobip", "acc-1")
            .await
            .unwrap()
            .unwrap();
        (user.generation, account.generation) = (7, 8);
        directory.put_user("infobip", &user).await.unwrap();
        directory.put_account("infobip", &account).await.unwrap();
        assert_eq!(import(&directory, SAMPLE).await, 0);
        assert_eq!(directory.user("infobip", "u-1").await.unwrap(), Some(user));
    }

    /// What a row says of a password, such that it is stored as `form`; `secret` is a digit.
    fn says(form: &str, secret: u8) -> String {
        let hex = |digits| secret.to_string().repeat(digits);
        match form {
            "password" => format!("password: secret-{secret}"),
            "sip" => format!("sip: {{ login: j, domain: d.example, password: secret-{secret} }}"),
            "md5" | "ha1b" => format!("credentials: {{ {form}: '{}' }}", hex(32)),
            "sha1" => format!("credentials: {{ sha1: '{}' }}", hex(40)),
            "argon2" => format!(
                "credentials: {{ argon2: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                 CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPP{}' }}",
                ["w", "c"][usize::from(secret % 2)]
            ),
            other => panic!("{other}"),
        }
    }

    fn forms_of(names: &[&str]) -> Forms {
        Forms {
            argon2: names.contains(&"argon2"),
            ha1b: names.contains(&"ha1b"),
            md5: names.contains(&"md5"),
            sha1: names.contains(&"sha1"),
        }
    }

    /// The same directory, after its peppers were changed.
    fn under(directory: &Directory, peppers: &[u8]) -> Directory {
        let peppers = peppers.iter().map(|it| Secret::new([*it; 32])).collect();
        let (prover, clock) = (directory.prover().clone(), directory.clock().clone());
        let peppers = Peppers::new(peppers).unwrap();
        Directory::new(directory.shared_store(), peppers, prover, clock)
    }

    /// Imports a user with what a row says of it; gives its generation.
    async fn generation(directory: &Directory, forms: Forms, says: &str) -> u64 {
        let row = format!("{{ id: u, account: {ACME}, username: j, {says} }}");
        let file = file(&format!("crossbar: {{ users: [{row}] }}"));
        let imported = file.import(directory, Existing::Replace, |_| forms, |_| ());
        imported.await.unwrap();
        let user = directory.user("crossbar", "u").await.unwrap().unwrap();
        assert!(user.password.is_some() || !user.digests().is_empty());
        user.generation
    }

    #[tokio::test]
    async fn another_password_ends_what_was_got_with_the_one_before_and_the_same_one_nothing() {
        for (form, stored) in [
            ("password", "argon2"),
            ("password", "md5"),
            ("password", "sha1"),
            ("argon2", "argon2"),
            ("ha1b", "ha1b"),
            ("md5", "md5"),
            ("sha1", "sha1"),
            ("sip", "ha1b"),
        ] {
            let directory = under(&directory(), &[1]);
            let rotated = under(&directory, &[2, 1]);
            let forms = forms_of(&[stored]);
            let (old, new) = (says(form, 1), says(form, 2));
            for (directory, says, want) in [
                (&directory, old.as_str(), 0),
                (&directory, &old, 0),
                (&directory, "", 0),
                (&rotated, "", 0),
                (&rotated, &old, 0),
                (&rotated, &new, 1),
                (&rotated, &new, 1),
                (&rotated, "", 1),
                (&rotated, &old, 2),
            ] {
                let got = generation(directory, forms, says).await;
                assert_eq!(got, want, "{form} as {stored}: {says:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_password_is_another_one_where_any_form_of_it_is_or_none_is_alike() {
        let both = format!(
            "credentials: {{ md5: '{}', sha1: '{}' }}",
            "1".repeat(32),
            "2".repeat(40)
        );
        for (what, before, after, want) in [
            (
                "one of two forms",
                ("md5 sha1", both.clone()),
                ("md5 sha1", both.replace('2', "3")),
                1,
            ),
            (
                "a form less",
                ("md5 sha1", both),
                ("md5 sha1", says("md5", 1)),
                0,
            ),
            (
                "a form more",
                ("md5", says("password", 1)),
                ("md5 sha1", says("password", 1)),
                0,
            ),
            (
                "another form of the same",
                ("md5", says("password", 1)),
                ("argon2", says("password", 1)),
                0,
            ),
            (
                "no form alike",
                ("md5 sha1", says("md5", 1)),
                ("md5 sha1", says("sha1", 1)),
                1,
            ),
            (
                "of SIP for the first time",
                ("md5 ha1b", says("md5", 1)),
                ("md5 ha1b", says("sip", 1)),
                0,
            ),
        ] {
            let directory = directory();
            let forms = |names: &str| forms_of(&names.split(' ').collect::<Vec<_>>());
            let first = generation(&directory, forms(before.0), &before.1).await;
            let second = generation(&directory, forms(after.0), &after.1).await;
            assert_eq!((first, second), (0, want), "{what}");
        }
    }

    #[tokio::test]
    async fn another_key_of_an_account_ends_what_was_got_with_the_one_before() {
        let directory = under(&directory(), &[1]);
        let rotated = under(&directory, &[2, 1]);
        let key = |digit: &str| format!("api_key: '{}'", digit.repeat(64));
        for (directory, says, want) in [
            (&directory, key("1"), 0),
            (&directory, String::new(), 0),
            (&rotated, key("1"), 0),
            (&rotated, key("2"), 1),
            (&rotated, key("2"), 1),
            (&rotated, String::new(), 1),
        ] {
            let text = format!("crossbar: {{ accounts: [{{ id: {ACME}, {says} }}] }}");
            import(directory, &text).await;
            let account = directory.account("crossbar", ACME).await.unwrap().unwrap();
            assert!(account.api_key.is_some());
            assert_eq!(account.generation, want, "{says}");
        }
    }

    #[tokio::test]
    async fn no_secret_and_no_name_of_a_person_stands_in_the_store_where_it_should_not() {
        let directory = directory();
        let all = |_: &str| Forms {
            ha1b: true,
            argon2: true,
            md5: true,
            sha1: true,
        };
        let imported = file(SAMPLE).import(&directory, Existing::Replace, all, |_| ());
        imported.await.unwrap();
        let stored = everything(&directory).await;
        assert!(stored.len() > 22);
        let secrets = [
            "m32c6NfqYEt",
            "12345678",
            "openSesame",
            "sample-password",
            "123456\"",
            JOHN_MD5,
            JOHN_SHA1,
            "0123456789abcdef0123456789abcdef",
            "003026bbc133714df1834b8638bb496e",
            "sample-inside-0",
        ];
        for (key, value) in &stored {
            for secret in secrets {
                assert!(!value.contains(secret), "{secret} in {key}");
                assert!(!key.contains(secret), "{key}");
            }
            for name in ["john", "callify", "Aladdin"] {
                assert!(!key.contains(name), "{key}");
            }
        }
    }

    #[tokio::test]
    async fn namesakes_are_all_found_and_told_apart_by_their_account() {
        let directory = directory();
        let user = |id: &str, account: &str| {
            format!("{{ id: {id}, account: {account}, username: j@example.com, password: {id} }}")
        };
        let other = "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c";
        let text = format!(
            "crossbar: {{ users: [{}, {}] }}",
            user("one", ACME),
            user("two", other)
        );
        assert_eq!(import(&directory, &text).await, 2);
        let found = by_login(&directory, "crossbar", "J@Example.com").await;
        assert_eq!(found.len(), 2);
        let hash = user_hash::<Md5>("J@Example.com", &Secret::new(*b"one"));
        let hash = hash.expose_str().unwrap();
        assert_eq!(by_hash(&directory, Index::Md5, hash).await, ["one"]);
    }

    #[tokio::test]
    async fn more_users_than_the_prover_lets_wait_are_imported() {
        let directory = directory();
        let row = |it| format!("{{ id: u{it}, username: u{it}, password: p{it} }}");
        let rows: Vec<_> = (0..30).map(row).collect();
        let text = format!("infobip: {{ users: [{}] }}", rows.join(", "));
        assert_eq!(import(&directory, &text).await, 30);
    }
}
