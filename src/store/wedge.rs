//! Places where a test of the watchdog makes the daemon hang.

/// Hangs here if `FAILPOINTS` in the environment of a simulator build says so: `store=pause`. In any
/// other build it does nothing.
pub fn wedge(place: &'static str) {
    #[cfg(feature = "simulator")]
    fail::fail_point!(place);
    let _ = place;
}
