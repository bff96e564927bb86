/** Whether the registry has a schema under this subject. */
export async function hasSubject(schemaRegistryUrl: string, subject: string): Promise<boolean> {
  const response = await fetch(
    `${schemaRegistryUrl}/subjects/${encodeURIComponent(subject)}/versions/latest`,
  );
  await response.arrayBuffer();
  return response.ok;
}
