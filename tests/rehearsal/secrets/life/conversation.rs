//! A session to which people write.

use wasim::{Answer, Content, Group, MediaKind, Observation, Saying, Trouble};

use super::{Life, device};
use crate::conversation::nothing_waits;
use crate::stage::{PATIENCE, Stage};

impl Life {
    /// People write in every way, and it can be read or not. Neither what they write nor who they are is shown.
    pub(super) async fn in_conversation(&mut self, stage: &mut Stage) {
        let (contact, room) = ("15557654321", "120363777777777777@g.us");
        for (what, secret) in [
            ("a correspondent", contact),
            ("a group", "120363777777777777"),
        ] {
            self.hunt.add(what, secret);
        }
        let (phone, device) = ("15550001001", device(stage, "alice").await);
        let asked = wasim::Command::Groups {
            phone: phone.to_owned(),
        };
        let answer = stage.sim.execute(asked).await;
        let Ok(Answer::Groups { mut groups, .. }) = answer else {
            panic!("no groups: {answer:?}");
        };
        groups.push(Group::new(room, "Choir-5e11af").with_members(&[contact]));
        let joined = stage.sim.set_groups(phone, groups).await;
        joined.expect("a group");
        let text = |from: &str, to: &str| Saying::text(from, to, "a-private-word-4c1d77");
        let image = Content::Media {
            media: MediaKind::Image,
            mime: "image/png".to_owned(),
            caption: Some("a-caption-90aa31".to_owned()),
            file_name: None,
            size: 0,
            bytes: vec![7; 2000],
        };
        for saying in [
            text(contact, phone),
            text(phone, contact),
            text(contact, room),
            Saying::new(contact, phone, image),
            text(contact, phone).with(Trouble::Twice),
            text(contact, phone).with(Trouble::Spoiled(1)),
            text(contact, room).with(Trouble::NoGroupKey),
        ] {
            let position = stage.sim.position();
            let id = stage.sim.say(saying).await.expect("said");
            let heard = |seen: &Observation| {
                matches!(seen, Observation::ReceiptReceived { jid, ids, .. }
                    if *jid == device && ids.contains(&id))
            };
            let heard = stage.sim.wait_after(position, heard, PATIENCE).await;
            heard.expect("a receipt");
        }
        let only_on_the_phone = text(contact, phone).with(Trouble::Unavailable);
        stage.sim.say(only_on_the_phone).await.expect("said");
        nothing_waits(&stage.sim, &device).await;
        self.look_around(stage).await;
    }
}
