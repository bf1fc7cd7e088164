//! A database file that was damaged anywhere. It is opened or refused; redb may panic over it, and
//! the store catches that.

#![no_main]

use std::panic;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use voiddht_core::event::{StoredRecord, Ticket, Write};
use voiddht_core::time::WallTime;
use voiddht_fuzz::{Source, Still, TODAY, live_with, unheard};
use voiddht_store::Store;
use voiddht_store::memory::Memory;
use voiddht_wire::Key;

/// A sound one, with twenty records.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let memory = Memory::default();
    let (store, _) =
        Store::on_medium(memory.clone(), Still::clocks(), unheard()).expect("an empty disk");
    let now = WallTime::from_millis(TODAY * 1000);
    let writes = (0..20_u8).map(|number| {
        Write::PutRecord(StoredRecord {
            key: Key::from_bytes([number; 32]),
            value: vec![number; 100 + usize::from(number) * 100].into(),
            version: u64::from(number),
            class: None,
            written: now,
            expires: now + Duration::from_secs(3600),
            bill: None,
        })
    });
    store.submit(Ticket(1), writes.collect()).expect("an empty inbox");
    store.close().expect("a disk in memory");
    memory.content()
});

fuzz_target!(
    init: {
        // A panic that is caught is none; libFuzzer's own hook would end the process over it.
        panic::set_hook(Box::new(|_| {}));
    },
    |data: &[u8]| {
        let mut image = SOUND.clone();
        let mut source = Source(data);
        if source.byte() & 1 == 1 {
            image.truncate(usize::from(source.number()) * 16 % (image.len() + 1));
        }
        while !source.is_empty() && !image.is_empty() {
            let at = u32::from_be_bytes([0, source.byte(), source.byte(), source.byte()]) as usize;
            let count = usize::from(source.byte() % 8) + 1;
            for (offset, byte) in source.slice(count).iter().enumerate() {
                let at = (at + offset) % image.len();
                image[at] = *byte;
            }
        }
        let opened = Store::on_medium(Memory::with_content(image), Still::clocks(), unheard());
        if let Ok((store, loaded)) = opened {
            // The damage may lie where it is met only now.
            let _ = store.close();
            live_with(loaded);
        }
    }
);
