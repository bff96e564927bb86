import { Admin } from '@platformatic/kafka';

/**
 * Takes the members of killed processes out of their group, as the broker does once their sessions have timed out: the
 * seconds until then teach nothing. Living members are taken out too, and join again.
 */
export async function removeMembers(brokers: string, groupId: string): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: brokers.split(',') });
  try {
    await admin.removeMembersFromConsumerGroup({ groupId });
  } finally {
    await admin.close();
  }
}
