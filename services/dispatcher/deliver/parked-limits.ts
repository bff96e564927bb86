/** Parked deliveries of an endpoint; beyond this its cursor waits until some of them are through. */
export const MAX_PARKED = 10_000;

/**
 * Parked deliveries of one record: some, so that each look into the log serves many. When an endpoint has half of what it may
 * have, a record gets one, so that it takes thousands of records that fail to stop the cursor.
 */
export const MAX_PARKED_OF_RECORD = 50;
