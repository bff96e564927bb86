/** A link that needs no key: whoever has it may download one file until it expires. */
export interface PresignedUrl {
  readonly url: string;
  /** To the second; never later than asked for, and earlier where what it was signed with ends earlier. */
  readonly expiresAt: Date;
}

/** Makes links to files in storage, whoever serves them. */
export interface DownloadLinks {
  /** @param path of the file in storage; whether it is there is not looked at */
  presign(path: string, expiresAtMs: number): Promise<PresignedUrl>;
}
