//! Where memory comes from. The C library's allocator keeps what one thread took and another one freed:
//! a merge of a large hour held twice of what it used. jemalloc gives it back, a second after it was
//! freed, while work goes on (`.cargo/config.toml`); `docs/decisions/0026-memory-that-is-given-back.md` has the figures.

#[cfg(feature = "jemalloc")]
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
