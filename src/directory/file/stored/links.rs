//! Links of the file against those of users of the directory that the file does not hold.

use std::collections::HashSet;

use crate::decision::Fault;
use crate::directory::Index;
use crate::directory::file::stored::{Checks, ROWS_AT_ONCE};
use crate::directory::records::User;

impl Checks<'_> {
    /// Whom an external issuer vouches for is one user.
    pub(super) async fn links(&mut self) -> Result<(), Fault> {
        let (directory, platform) = (self.directory, &self.entries.platform);
        let users = &self.entries.users;
        let in_file: HashSet<_> = users.iter().map(|it| &it.record.id).collect();
        let links = users.iter().enumerate().flat_map(|(row, entry)| {
            let links = entry.record.links.iter().enumerate();
            links.map(move |(place, link)| (format!("users/{row}/links/{place}"), link))
        });
        let links: Vec<_> = links.collect();
        for links in links.chunks(ROWS_AT_ONCE) {
            let digests = links.iter().map(|(_, it)| {
                let values = [it.issuer.as_bytes(), it.subject.as_bytes()];
                directory.digests(platform, Index::Link, &values)
            });
            let digests: Vec<_> = digests.collect();
            let named = self.named(Index::Link, &digests).await?;
            for ((pointer, link), named) in links.iter().zip(named) {
                let others = named.iter().filter(|it| !in_file.contains(it));
                let others = self.records::<User>(others.map(String::as_str)).await?;
                let mut others = others.into_iter().flatten();
                if let Some(other) = others.find(|it| it.links.contains(link)) {
                    let message = format!("user {} of the directory has this link", other.id);
                    self.problem(pointer, &message);
                }
            }
        }
        Ok(())
    }
}
