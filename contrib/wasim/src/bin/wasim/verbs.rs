//! Every command but `serve`: one or two lines over the control socket.

use std::io::Read as _;
use std::path::Path;

use wasim::{Answer, Command, Control, Fault, FaultRule, Group, Stanza, StreamError};

use crate::arguments::Verb;
use crate::render::print;

/// Does what was asked, and prints what came of it.
pub(crate) async fn run(verb: Verb, control: &Path, json: bool) -> Result<(), String> {
    let answer = if let Verb::Groups {
        phone,
        clear,
        add,
        member,
        lid,
    } = verb
    {
        let kind = NewGroups { add, member, lid };
        groups(control, phone, clear, kind).await?
    } else {
        call(control, command(verb)?).await?
    };
    print(&answer, json)
}

async fn call(control: &Path, command: Command) -> Result<Answer, String> {
    Control::call(control, &command)
        .await
        .map_err(|error| error.to_string())
}

fn command(verb: Verb) -> Result<Command, String> {
    Ok(match verb {
        Verb::Scan { qr, phone } => Command::Scan {
            qr: argument(qr)?,
            phone,
        },
        Verb::Link { phone, code } => Command::Link { phone, code },
        Verb::Devices { phone } => Command::Devices { phone },
        Verb::Logins => Command::Logins,
        Verb::Received(which) => Command::Received {
            device: which.device,
        },
        Verb::Observations {
            after,
            only,
            device,
        } => Command::Observations {
            after,
            only,
            device,
        },
        Verb::Account(verb) => verb.command()?,
        Verb::Chat(verb) => verb.command()?,
        Verb::Unlink(which) => Command::Unlink {
            device: which.device,
        },
        Verb::Replace(which) => Command::Replace {
            device: which.device,
        },
        Verb::StreamError {
            which,
            code,
            conflict,
            child,
            end_stream,
            keep_open,
        } => Command::StreamError {
            device: which.device,
            error: StreamError {
                code,
                children: conflict
                    .map(|kind| Ok(Stanza::new("conflict").attr("type", &kind)))
                    .into_iter()
                    .chain(child.iter().map(|child| stanza(child)))
                    .collect::<Result<_, String>>()?,
                end_stream,
                keep_open,
            },
        },
        Verb::EndStream { which, keep_open } => Command::EndStream {
            device: which.device,
            keep_open,
        },
        Verb::Raw {
            which,
            stanza: text,
        } => Command::SendRaw {
            device: which.device,
            stanza: stanza(&argument(text)?)?,
        },
        Verb::FailNext { which, failure } => Command::FailNext {
            device: which.device,
            failure: failure.into(),
        },
        Verb::Fault {
            fault,
            device,
            times,
        } => Command::SetFault {
            rule: rule(&fault, device, times)?,
        },
        Verb::Faults => Command::Faults,
        Verb::ClearFaults => Command::ClearFaults,
        Verb::PushName { phone, name } => Command::SetPushName { phone, name },
        Verb::UnlinkAnswer {
            answer,
            device,
            times,
        } => Command::OnUnlink {
            device,
            answer,
            times,
        },
        Verb::Listen { switch } => Command::SetListening { listening: switch },
        Verb::Info => Command::Info,
        verb => return on_connection(verb),
    })
}

/// What is done to a connection as such.
fn on_connection(verb: Verb) -> Result<Command, String> {
    Ok(match verb {
        Verb::Close(which) => Command::Close {
            device: which.device,
        },
        Verb::Drop(which) => Command::Drop {
            device: which.device,
        },
        Verb::Reset(which) => Command::Reset {
            device: which.device,
        },
        Verb::Freeze(which) => Command::Freeze {
            device: which.device,
        },
        Verb::Hang(which) => Command::Hang {
            device: which.device,
        },
        Verb::Resume(which) => Command::Resume {
            device: which.device,
        },
        Verb::RenewRefs(which) => Command::RenewRefs {
            device: which.device,
        },
        Verb::RefreshCode {
            which,
            force_manual,
        } => Command::RefreshCode {
            device: which.device,
            force_manual,
        },
        Verb::RefreshRegistration(which) => Command::RefreshRegistration {
            device: which.device,
        },
        _ => return Err("not a single command".to_owned()),
    })
}

/// Groups to join.
struct NewGroups {
    add: Vec<String>,
    member: Vec<String>,
    lid: bool,
}

async fn groups(
    control: &Path,
    phone: String,
    clear: bool,
    NewGroups { add, member, lid }: NewGroups,
) -> Result<Answer, String> {
    let now = call(
        control,
        Command::Groups {
            phone: phone.clone(),
        },
    )
    .await?;
    let Answer::Groups { groups: mut all } = now else {
        return Ok(now);
    };
    if !clear && add.is_empty() {
        return Ok(Answer::Groups { groups: all });
    }
    if clear {
        all.clear();
    }
    for subject in add {
        let free = (1..).map(|number| format!("1203630{phone}{number}@g.us"));
        let jid = free
            .into_iter()
            .find(|jid| all.iter().all(|group| group.jid != *jid));
        let members: Vec<&str> = member.iter().map(String::as_str).collect();
        all.extend(jid.map(|jid| {
            let mut group = Group::new(&jid, &subject);
            if !members.is_empty() {
                group = group.with_members(&members);
            }
            if lid { group.by_lid() } else { group }
        }));
    }
    call(
        control,
        Command::SetGroups {
            phone,
            groups: all.clone(),
        },
    )
    .await?;
    Ok(Answer::Groups { groups: all })
}

fn rule(fault: &str, device: Option<String>, times: Option<u32>) -> Result<FaultRule, String> {
    let fault: Fault = fault
        .parse()
        .map_err(|error: wasim::Error| error.to_string())?;
    let mut rule = FaultRule::from(fault);
    if let Some(device) = device {
        rule = rule.only(&device);
    }
    rule.times = times;
    Ok(rule)
}

/// A stanza as JSON, or a bare tag.
fn stanza(text: &str) -> Result<Stanza, String> {
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| format!("not a stanza: {error}"))
    } else {
        Ok(Stanza::new(text))
    }
}

/// The argument itself, or standard input for `-`.
pub(crate) fn argument(text: String) -> Result<String, String> {
    if text != "-" {
        return Ok(text);
    }
    let mut read = String::new();
    std::io::stdin()
        .read_to_string(&mut read)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(read.trim().to_owned())
}
