//! Contents that are starved: none of their holders could send what is missing.
//!
//! The caller is told when a content starves, and when a holder could send again.

use super::{
    Action, DownloadId, Downloads, HolderId,
    holders::holder::ConnectionState,
    single_download::{
        ListState,
        content_holder::{Channel, SourceState},
    },
};

impl Downloads {
    /// Whether a holder might still send something of a content: it does, or could be asked soon.
    fn may_still_send(&self, holder: HolderId, download: DownloadId) -> bool {
        let Some(one) = self.downloads.get(&download) else { return false };
        let (Some(source), Some(known)) = (one.source(holder), self.holders.get(&holder)) else {
            return false;
        };
        // What has arrived will be stored, whatever became of the connection.
        if source.in_flight_bytes > 0
            && known.queue().iter().any(|asked| asked.arrived && asked.download == download)
        {
            return true;
        }
        source.state == SourceState::Usable
            && match known.link {
                ConnectionState::Disconnected | ConnectionState::Connecting { .. } => {
                    source.named && !known.unreachable
                }
                // One that is silent may only be slow, until it is given up.
                ConnectionState::Connected => match source.channel {
                    Channel::Closed | Channel::Opening => !known.refused,
                    Channel::Open(_) => {
                        let list_known = matches!(one.list, ListState::NotNeeded | ListState::Known(_));
                        !list_known || source.in_flight_bytes > 0 || one.has_work_for(source)
                    }
                },
            }
    }

    /// Says so when nobody could send what is missing, and when somebody could again.
    pub(super) fn update_starved(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download) else { return };
        let starved = one.holders_known
            && !one.sources().iter().any(|source| self.may_still_send(source.holder, download));
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if starved != one.starved {
            one.starved = starved;
            self.actions.push_back(if starved {
                Action::Starved { download }
            } else {
                Action::Fed { download }
            });
        }
    }
}
