//! How following a server begins: it is made to tell, and nothing is taken on trust.

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value, cmd};
use tokio::time;

use super::super::{fault, reply};
use super::end::End;
use super::{PATIENCE, Watcher};
use crate::store::StoreError;

impl Watcher {
    /// Has the server tell, and makes sure that it does.
    pub(super) async fn begin(&self, connection: &mut MultiplexedConnection) -> Result<(), End> {
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in [self.watched.prefix, self.canary.name()] {
            tracking.arg("PREFIX").arg(prefix);
        }
        let mut all = Pipeline::with_capacity(4);
        all.add_command(tracking);
        all.cmd("CLIENT").arg("TRACKINGINFO");
        all.cmd("ROLE");
        let answers = self.ask(connection, all);
        let answers = time::timeout(PATIENCE * 4, answers).await;
        let answers = answers.unwrap_or_else(|_| Err(self.lost("no answer in time")))?;
        let [tracking, info, role] =
            <[Value; 3]>::try_from(answers).map_err(|_| self.lost("no answer"))?;
        for (what, answer) in [
            ("CLIENT TRACKING", &tracking),
            ("CLIENT TRACKINGINFO", &info),
            ("ROLE", &role),
        ] {
            if let Value::ServerError(error) = answer {
                let why = fault::of_server(error);
                return Err(self.unwilling(&format!("it does not do {what}: {why}")));
            }
        }
        if reply::is_sentinel(&role) {
            let why = format!("{}: {}", self.login.address(), reply::no_primary(&role));
            return Err(End::Lost(StoreError::Unavailable(why)));
        }
        if !reply::is_primary(&role) {
            return Err(End::Demoted);
        }
        if !reply::tells(&info) {
            return Err(self.unwilling("it takes CLIENT TRACKING and does not do it"));
        }
        Ok(())
    }
}
