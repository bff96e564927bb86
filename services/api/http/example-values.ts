/** IDs and times of the examples in the OpenAPI document. The test of the examples puts IDs of its own in their place. */
export const EXAMPLE = {
  account: 'acct_01JZ8Q4T7V9X3B5D7F9H1K3M5P',
  key: 'key_01JZ8Q5A2C4E6G8J0M2P4R6T8W',
  portalLink: 'plk_01JZ8Q5B3D5F7H9K1N3Q5S7V9X',
  session: 'ses_01JZ8Q5C4E6G8J0M2P4R6T8W0Y',
  operatorSession: 'ops_01JZ8Q5D5F7H9K1N3Q5S7V9X1Z',
  export: 'exp_01JZ8Q6B3D5F7H9K1N3Q5S7V9X',
  earlierExport: 'exp_01JZ5Q6B3D5F7H9K1N3Q5S7V9X',
  webhook: 'whk_01JZ8Q7C4E6G8J0M2P4R6T8W0Y',
  job: 'blk_01JZ8Q8D5F7H9K1N3Q5S7V9X1Z',
  file: 'file_01JZ8Q9E6G8J0M2P4R6T8W0Y2A',
  attempt: '184467',
  event: 'evt_00000000016B37480000000000',
  position: '00000000016B3748-0000000000',
  at: '2026-03-01T09:30:00.000Z',
  later: '2026-03-01T09:30:02.000Z',
  muchLater: '2026-05-30T09:30:02.000Z',
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
} as const;

export const EXAMPLE_CURSOR = 'eyJwb3NpdGlvbiI6IjAwMDAwMDAwMDE2QjM3NDgtMDAwMDAwMDAwMCJ9.Q2hlY2tlZA';
