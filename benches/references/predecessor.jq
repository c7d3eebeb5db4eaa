# One flat line of the predecessor's collector to one row of its CSV files.
def count(name): .author.public_metrics[name];
[
  .id, .conversation_id, .author_id, .created_at, .__twarc.retrieved_at, .source, .lang,
  (.text | gsub("[\r\n]"; " ")),
  (.referenced_tweets[0].type // "original"), (.referenced_tweets[0].id // "null"),
  .author.created_at, .author.location, .author.name, .author.username,
  .author.verified, .author.protected,
  count("followers_count"), count("following_count"), count("tweet_count"), count("listed_count")
] | @csv
