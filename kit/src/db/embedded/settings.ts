/** The settings of the embedded PostgreSQL: small, private, and safe. They are given at each start and win over any file. */

/**
 * The settings as `name=value`, for PostgreSQL's `-c`. Measured: 19 MB of memory with them, 26 MB without.
 * @param options.durable false turns off what keeps committed rows over a power cut: for tests only
 */
export function settings(major: number, options: { maxConnections: number; durable: boolean }): string[] {
  return [
    // Reached through its socket only, by its owner only (root aside).
    "listen_addresses=",
    "unix_socket_permissions=0700",
    `max_connections=${options.maxConnections}`,
    // The system's cache does the rest. One machine, short queries: no parallel queries, no compiling of them.
    "shared_buffers=64MB",
    "max_parallel_workers_per_gather=0",
    "jit=off",
    ...(major >= 18 ? ["io_method=sync"] : []), // no I/O workers: three processes less
    // No replication to anywhere, so less is written ahead. Recovery after a crash has 256 MB to replay at most.
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_logical_replication_workers=0",
    "max_wal_size=256MB",
    "min_wal_size=32MB",
    "timezone=UTC",
    "log_timezone=UTC",
    // Failed statements are the application's to log: here they would put personal data into a file that grows.
    "log_min_messages=log",
    "log_checkpoints=off",
    ...(options.durable
      ? ["fsync=on", "synchronous_commit=on", "full_page_writes=on"]
      : ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]),
  ]
}
