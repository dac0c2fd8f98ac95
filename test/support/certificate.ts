// A certificate for consoles over TLS: whoever has this key is the server, the client and their authority.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate extends Disposable {
  /** `tls` of a console in the configuration. */
  readonly configured: string;
  /** What a client shows. */
  readonly client: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer; readonly servername: string };
  /** The same for the command line. */
  readonly words: readonly string[];
}

/** Makes one, for the name `northstate`. */
export function makeCertificate(): Certificate {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-tls-'));
  const [cert, key] = [join(directory, 'cert'), join(directory, 'key')];
  const words = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=northstate'];
  const named = ['-addext', 'subjectAltName=DNS:northstate'];
  execFileSync('openssl', ['req', '-x509', ...words, ...named, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const [certPem, keyPem] = [readFileSync(cert), readFileSync(key)];
  return {
    configured: `{ cert: ${cert}, key: ${key}, ca: ${cert} }`,
    client: { ca: certPem, cert: certPem, key: keyPem, servername: 'northstate' },
    words: ['--tls-ca', cert, '--tls-cert', cert, '--tls-key', key, '--tls-name', 'northstate'],
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}
