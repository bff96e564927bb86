/** Node's codes of a certificate that it does not accept. */
const CERTIFICATE_CODES =
  /^(ERR_TLS_\w+|CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+)$/;

export const isCertificateCode = (code: string): boolean => CERTIFICATE_CODES.test(code);
