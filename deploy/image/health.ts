/** The health check of a container: exit code 0 while the service that listens on the port is alive. */
const { ok } = await fetch(`http://127.0.0.1:${process.argv[2]}/healthz`);
process.exit(ok ? 0 : 1);
