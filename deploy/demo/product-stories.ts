import { CRONPING, DOCUMINT, FLAGBIT, WEBHOOKVAULT } from '../samples/products.ts';
import type { SampleProduct } from '../samples/sample-plan.ts';
import {
  CRONPING_WORK,
  DOCUMINT_WORK,
  FLAGBIT_WORK,
  type ProductWork,
  WEBHOOKVAULT_WORK,
} from './product-work.ts';

/** A bulk operation on the product's main resource, as a request's body says it. */
export interface BulkRequest {
  readonly operation: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** What a demo tells of a product. */
export interface ProductStory {
  readonly product: SampleProduct;
  readonly work: ProductWork;
  /** Asked for as a job. */
  readonly job: BulkRequest & { readonly filter: Readonly<Record<string, unknown>> };
  /** Asked for at once, for as many records as the catalog lets through in one request. */
  readonly atOnce: BulkRequest;
}

export const STORIES: readonly [ProductStory, ...ProductStory[]] = [
  {
    product: DOCUMINT,
    work: DOCUMINT_WORK,
    job: { operation: 'void', filter: { status: { eq: 'draft' } } },
    atOnce: { operation: 'update', params: { memo: 'checked in bulk ✓' } },
  },
  {
    product: CRONPING,
    work: CRONPING_WORK,
    job: { operation: 'pause', filter: { status: { in: ['late', 'down'] } } },
    atOnce: { operation: 'resume' },
  },
  {
    product: FLAGBIT,
    work: FLAGBIT_WORK,
    job: { operation: 'turn_off', filter: { environment: { eq: 'staging' } } },
    atOnce: { operation: 'set_rollout', params: { rollout_percentage: '12.50' } },
  },
  {
    product: WEBHOOKVAULT,
    work: WEBHOOKVAULT_WORK,
    job: {
      operation: 'configure',
      params: { retention_days: 14 },
      filter: { retention_days: { gte: 90 } },
    },
    atOnce: { operation: 'configure', params: { allowed_networks: ['203.0.113.0/24'] } },
  },
];
